/* The table of a job's own /float: agent/jobtree.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent/jobtree.h"
#include "lib/json.h"

static struct jobtree *make(const char *text)
{
	json_object *object = NULL;
	struct error err = { 0 };
	cr_assert_eq(json_parse_object(text, strlen(text), &object, &err), 0, "%s", err.text);
	struct jobtree *tree = jobtree_new(json_get_array(object, "tree"), "job1", "/var/log/float", &err);
	json_object_put(object);
	cr_assert((tree == NULL) == (err.code != 0));
	return tree;
}

static const struct jobtree_node *at(const struct jobtree *tree, const char *path)
{
	const struct jobtree_node *node = &tree->nodes[0];
	char copy[200], *rest = copy, *part;
	snprintf(copy, sizeof(copy), "%s", path);
	while (node && (part = strsep(&rest, "/")))
		node = jobtree_child(tree, node, part);
	return node;
}

Test(agent_jobtree, rows_and_what_is_above_them)
{
	struct jobtree *tree =
	    make("{\"tree\":[{\"name\":\"migrate\",\"mode\":438,\"kind\":\"control\"},"
		 "{\"name\":\"output\",\"kind\":\"live\"},{\"name\":\"job.events\",\"kind\":\"live\"},"
		 "{\"name\":\"host\",\"kind\":\"link\"},{\"name\":\"wait\",\"kind\":\"wait\"},"
		 "{\"name\":\"cpu\",\"kind\":\"value\",\"path\":\"instances/c5.large/cpu\"}]}");
	cr_assert_str_eq(tree->nodes[0].path, "");
	cr_assert_eq(at(tree, "jobs/job1/migrate")->kind, JOBTREE_CONTROL);
	cr_assert_eq(at(tree, "jobs/job1/migrate")->mode, 0666);
	cr_assert_eq(at(tree, "jobs/job1/output")->kind, JOBTREE_LOG_FILE);
	cr_assert_eq(at(tree, "jobs/job1/job.events")->kind, JOBTREE_ASKED_LIVE);
	cr_assert_eq(at(tree, "jobs/job1/wait")->kind, JOBTREE_WAIT);
	cr_assert_str_eq(at(tree, "jobs/job1/log")->target, "/var/log/float");
	cr_assert_str_eq(at(tree, "jobs/self")->target, "job1");
	cr_assert_eq(at(tree, "instances/c5.large")->kind, JOBTREE_DIRECTORY);
	cr_assert_str_eq(at(tree, "instances/c5.large/cpu")->name, "cpu");
	cr_assert_null(at(tree, "jobs/job2"));
	cr_assert_null(at(tree, "jobs/.."));
	for (size_t i = 1; i < tree->count; i++)
		cr_assert_lt(strcmp(tree->nodes[i - 1].path, tree->nodes[i].path), 0);
	jobtree_free(tree);
}

Test(agent_jobtree, the_same_numbers_in_any_order)
{
	struct jobtree *one =
	    make("{\"tree\":[{\"name\":\"a\",\"kind\":\"value\"},{\"name\":\"b\",\"kind\":\"value\"}]}");
	struct jobtree *other =
	    make("{\"tree\":[{\"name\":\"b\",\"kind\":\"value\"},{\"name\":\"a\",\"kind\":\"value\"}]}");
	cr_assert_eq(one->count, other->count);
	for (size_t i = 0; i < one->count; i++) {
		cr_assert_str_eq(one->nodes[i].path, other->nodes[i].path);
		cr_assert_eq(one->nodes[i].parent, other->nodes[i].parent);
	}
	jobtree_free(one);
	jobtree_free(other);
}

Test(agent_jobtree, tables_that_cannot_be)
{
	static const char *const tables[] = {
		"{\"tree\":[{\"kind\":\"value\"}]}",
		"{\"tree\":[{\"name\":\"a\",\"kind\":\"nothing\"}]}",
		"{\"tree\":[{\"name\":\"a\",\"kind\":\"value\"},{\"name\":\"a\",\"kind\":\"value\"}]}",
		"{\"tree\":[{\"name\":\"a\",\"kind\":\"value\",\"path\":\"../a\"}]}",
		"{\"tree\":[{\"name\":\"a\",\"kind\":\"value\",\"path\":\"/a\"}]}",
		"{\"tree\":[{\"name\":\"a\",\"kind\":\"value\",\"path\":\"x//a\"}]}",
		"{\"tree\":[{\"name\":\"a\",\"kind\":\"value\",\"path\":\"x\"},{\"name\":\"b\",\"kind\":"
		"\"value\",\"path\":\"x/b\"}]}",
	};
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		cr_assert_null(make(tables[i]), "%s", tables[i]);
}
