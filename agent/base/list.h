/* list.h - doubly linked list with the links inside the elements. The head is a node too. */
#ifndef SPILLWAY_LIST_H
#define SPILLWAY_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list { struct list *next, *prev; };

#define LIST_INIT(l) { &(l), &(l) }
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) (list_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_last(head, type, member)  (list_empty(head) ? NULL : list_entry((head)->prev, type, member))
#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The element may be removed inside the loop. */
#define list_each_safe(it, head) \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_insert_(struct list *n, struct list *prev, struct list *next)
{
	n->prev = prev; n->next = next; prev->next = n; next->prev = n;
}
static inline void list_push_back(struct list *head, struct list *n) { list_insert_(n, head->prev, head); }
static inline void list_push_front(struct list *head, struct list *n) { list_insert_(n, head, head->next); }
static inline void list_insert_before(struct list *pos, struct list *n) { list_insert_(n, pos->prev, pos); }
/* Leaves n a list of its own, so that list_empty(n) tells whether it is linked. */
static inline void list_remove(struct list *n)
{
	n->prev->next = n->next; n->next->prev = n->prev; list_init(n);
}
/* Walks it. */
static inline uint32_t list_count(const struct list *head)
{
	uint32_t n = 0;

	for (const struct list *it = head->next; it != head; it = it->next)
		n++;
	return n;
}
/* Moves everything of src, in order, behind dst's last element. */
static inline void list_splice_back(struct list *dst, struct list *src)
{
	if (list_empty(src)) return;
	src->next->prev = dst->prev; dst->prev->next = src->next;
	src->prev->next = dst; dst->prev = src->prev; list_init(src);
}
static inline void list_splice_front(struct list *dst, struct list *src)
{
	if (list_empty(src)) return;
	src->prev->next = dst->next; dst->next->prev = src->prev;
	src->next->prev = dst; dst->next = src->next; list_init(src);
}

#endif
