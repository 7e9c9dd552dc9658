/* SPEC, and the job's tree that is made of it. */
#include "agent/spec.h"

#include "agent/jobtree.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "tests/fuzz/fuzz.h"

static void check_tree(const struct jobtree *tree)
{
	fuzz_check(tree->count > 0 && !*tree->nodes[0].path);
	for (size_t i = 1; i < tree->count; i++) {
		const struct jobtree_node *node = &tree->nodes[i], *above = &tree->nodes[node->parent];
		fuzz_check(above->kind == JOBTREE_DIRECTORY && node->parent < i);
		fuzz_check(jobtree_child(tree, above, node->leaf) == node);
		fuzz_check((node->kind == JOBTREE_FIXED_LINK) == (node->target != NULL));
		fuzz_check(node->name || node->kind == JOBTREE_DIRECTORY || node->kind == JOBTREE_FIXED_LINK);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autojson json_object *object = NULL;
	struct error err = { 0 };
	if (json_parse_object((const char *)data, size, &object, &err) < 0)
		return -1;
	struct spec *spec = spec_parse(object, &err);
	if (!spec) {
		fuzz_check(err.text[0]);
		return 0;
	}
	fuzz_check(spec_id_valid(spec->id) && spec_id_valid(spec->work) && spec_path_valid(spec->log));
	for (size_t i = 0; i < spec->data_count; i++)
		fuzz_check(spec_id_valid(spec->data[i].volume) && spec_path_valid(spec->data[i].mount));
	struct jobtree *tree = jobtree_new(spec->tree, spec->id, spec->log, &err);
	if (tree)
		check_tree(tree);
	else
		fuzz_check(err.text[0]);
	jobtree_free(tree);
	spec_free(spec);
	return 0;
}
