#include "agent/peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/http.h"
#include "lib/json.h"

enum { WARM_TIMEOUT_MS = 5000, ADOPT_TIMEOUT_MS = 120000, DEFAULT_PORT = 7433 };

struct warm {
	struct warm *following;
	char *id, *host, *address;
	int port;
	struct http_client *client;
};

struct peers {
	struct enrol *enrol;
	pthread_mutex_t lock;
	struct warm *list;
};

static void warm_free(struct warm *warm)
{
	if (!warm)
		return;
	http_client_free(warm->client);
	free(warm->id);
	free(warm->host);
	free(warm->address);
	free(warm);
}

struct peers *peers_new(struct enrol *enrol)
{
	struct peers *peers = calloc(1, sizeof(*peers));
	if (!peers)
		abort();
	peers->enrol = enrol;
	pthread_mutex_init(&peers->lock, NULL);
	return peers;
}

void peers_free(struct peers *peers)
{
	while (peers->list) {
		struct warm *warm = peers->list;
		peers->list = warm->following;
		warm_free(warm);
	}
	pthread_mutex_destroy(&peers->lock);
	free(peers);
}

/* Out of the list: its connection is for one thread. */
static struct warm *take_warm(struct peers *peers, const char *id)
{
	pthread_mutex_lock(&peers->lock);
	struct warm **link = &peers->list, *found;
	while (*link && strcmp((*link)->id, id) != 0)
		link = &(*link)->following;
	found = *link;
	if (found)
		*link = found->following;
	pthread_mutex_unlock(&peers->lock);
	return found;
}

static int find_peer(struct peers *peers, json_object *to, const char *id, struct warm **found,
		     struct error *err)
{
	const char *host = json_get_string(to, "host", NULL), *address = json_get_string(to, "address", NULL);
	int64_t port = json_get_int(to, "port", DEFAULT_PORT);
	if (!host || !address || port < 1 || port > 65535)
		return error_set(err, EINVAL, "\"to\" needs \"host\", \"address\" and \"port\"");
	struct warm *warm = take_warm(peers, id);
	if (warm && strcmp(warm->host, host) == 0 && strcmp(warm->address, address) == 0 &&
	    warm->port == port) {
		*found = warm;
		return 0;
	}
	warm_free(warm);
	struct http_identity identity;
	int status = enrol_identity(peers->enrol, &identity, err);
	if (status < 0)
		return status;
	warm = calloc(1, sizeof(*warm));
	if (!warm)
		abort();
	*warm = (struct warm){ .id = format_string("%s", id),
			       .host = format_string("%s", host),
			       .address = format_string("%s", address),
			       .port = (int)port,
			       .client = http_client_new(&identity, host, address, (int)port) };
	*found = warm;
	return 0;
}

int peers_warm(struct peers *peers, json_object *to, const char *id, struct error *err)
{
	struct warm *warm;
	int status = find_peer(peers, to, id, &warm, err);
	if (status < 0)
		return status;
	/* A request, not only a connection: the handshake is done, and the other side knows the job. */
	autofree char *path = format_string("/v1/jobs/%s", id);
	status = http_request(warm->client, path, NULL, -1, NULL, WARM_TIMEOUT_MS, NULL, err);
	if (status < 0) {
		warm_free(warm);
		return status;
	}
	pthread_mutex_lock(&peers->lock);
	warm->following = peers->list;
	peers->list = warm;
	pthread_mutex_unlock(&peers->lock);
	return 0;
}

int peers_adopt(struct peers *peers, json_object *to, const char *id, int64_t epoch, json_object *body,
		json_object **answer, struct error *err)
{
	struct warm *warm;
	*answer = NULL;
	int status = find_peer(peers, to, id, &warm, err);
	if (status < 0)
		return status;
	autofree char *path = format_string("/v1/jobs/%s/adopt", id);
	autojson json_object *empty = json_object_new_object();
	status =
	    http_request(warm->client, path, body ? body : empty, epoch, NULL, ADOPT_TIMEOUT_MS, answer, err);
	warm_free(warm);
	return status;
}

void peers_forget(struct peers *peers, const char *id)
{
	warm_free(take_warm(peers, id));
}
