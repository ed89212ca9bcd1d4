/* Intrusive circular lists. A node that is in no list points to itself, so that removing it twice does no harm.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct core_node {
	struct core_node *prev, *next;
};

/* The struct of type `type` whose member `member` is the node at `node`. */
#define CORE_OF(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void core_node_init(struct core_node *n)
{
	n->prev = n->next = n;
}

/* For a list's head: is the list empty?  For a node: is it in no list? */
static inline bool core_node_alone(const struct core_node *n)
{
	return n->next == n;
}

/* Insert `n`, which is in no list, before `at`: at the end of the list when `at` is its head. */
static inline void core_node_insert(struct core_node *at, struct core_node *n)
{
	n->prev = at->prev;
	n->next = at;
	at->prev->next = n;
	at->prev = n;
}

static inline void core_node_remove(struct core_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	core_node_init(n);
}

/* Insert `n`, which is in no list, as the first of the list. */
static inline void core_list_push(struct core_node *head, struct core_node *n)
{
	core_node_insert(head->next, n);
}

/* Take the first node out of the list, or NULL when it is empty. */
static inline struct core_node *core_list_pop(struct core_node *head)
{
	struct core_node *n = head->next;
	if (n == head)
		return NULL;
	core_node_remove(n);
	return n;
}

#endif
