/* An error that a person will read: an errno and one plain sentence that says what to do. */
#pragma once

struct error {
	int code;       /* a positive errno; 0 while nothing went wrong */
	char text[512]; /* one sentence, no newline, no full stop needed */
};

/*
 * Set the error and return -code, so that `return error_set(err, EINVAL, "…")` reads well.
 * err may be NULL: then only the return value tells. An error already set is replaced.
 */
int error_set(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As error_set, with ": " and strerror(code) added to the sentence. */
int error_sys(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Put words before the sentence that is there; returns -err->code. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
