/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Known programs without a bug: the explorer must raise no alarm on them, and
 * a search that counts executions must count what other tools count (P1 to P4
 * in docs/explore.md).
 */
#include "scenarios/scenario.h"
#include "sync/atomic.h"
#include "sync/lock.h"
#include "sync/seqcount.h"

/* ---- P1: a message under a spin lock ------------------------------------------ */

struct spin_message {
	struct mach_spin lock;
	u32 data;
	u32 ready;
};

static int spin_message_setup(void *state)
{
	struct spin_message *s = state;

	scenario_name_field(s, lock);
	scenario_name_field(s, data);
	scenario_name_field(s, ready);
	return 0;
}

static void spin_message_body(void *state, unsigned body)
{
	struct spin_message *s = state;

	mach_spin_lock(&s->lock);
	if (body == 0) {
		atomic_store(&s->data, 42u);
		atomic_store(&s->ready, 1u);
	} else if (atomic_load(&s->ready)) {
		scenario_expect(atomic_load(&s->data) == 42);
	}
	mach_spin_unlock(&s->lock);
}

const struct scenario scenario_spin_message = {
	.name = "spin-message",
	.shows = "a message passed under a spin lock arrives whole",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct spin_message),
	.setup = spin_message_setup,
	.body = spin_message_body,
};

/* ---- store buffering -------------------------------------------------------------- */

struct store_buffering {
	u32 x, y;
	u32 seen[2];
};

static int store_buffering_setup(void *state)
{
	struct store_buffering *s = state;

	scenario_name_field(s, x);
	scenario_name_field(s, y);
	return 0;
}

static void store_buffering_body(void *state, unsigned body)
{
	struct store_buffering *s = state;

	mach_store(body == 0 ? &s->x : &s->y, 1u, MACH_SEQ_CST);
	s->seen[body] = mach_load(body == 0 ? &s->y : &s->x, MACH_SEQ_CST);
}

static uint64_t store_buffering_outcome(void *state)
{
	const struct store_buffering *s = state;

	return s->seen[0] * 2 + s->seen[1];
}

static void store_buffering_finish(void *state)
{
	const struct store_buffering *s = state;

	scenario_expect(s->seen[0] + s->seen[1] > 0);
}

const struct scenario scenario_store_buffering = {
	.name = "store-buffering",
	.shows = "two stores and two loads: three of four outcomes when sequentially consistent",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct store_buffering),
	.setup = store_buffering_setup,
	.body = store_buffering_body,
	.outcome = store_buffering_outcome,
	.finish = store_buffering_finish,
};

/* ---- P2: Treiber's stack -------------------------------------------------------------- */

struct treiber_node {
	struct treiber_node *next; /* (A) */
	u32 value;
};

struct treiber {
	struct treiber_node *top; /* (A) */
	struct treiber_node nodes[2];
	u32 popped[2];
};

static int treiber_setup(void *state)
{
	struct treiber *s = state;

	scenario_name_field(s, top);
	scenario_name(&s->nodes[0], sizeof(s->nodes[0]), 0, "node0");
	scenario_name(&s->nodes[1], sizeof(s->nodes[1]), 0, "node1");
	return 0;
}

/* Nodes are never freed, and pushed once: no ABA. */
static void treiber_body(void *state, unsigned body)
{
	struct treiber *s = state;
	struct treiber_node *node = &s->nodes[body];
	struct treiber_node *top = atomic_load(&s->top);

	node->value = body + 1;
	do
		atomic_store(&node->next, top);
	while (!atomic_cas(&s->top, &top, node));

	top = atomic_load_acquire(&s->top);
	do
		node = atomic_load(&top->next);
	while (!atomic_cas(&s->top, &top, node) && top);
	s->popped[body] = top ? top->value : 0;
}

static void treiber_finish(void *state)
{
	const struct treiber *s = state;

	scenario_expect(s->popped[0] + s->popped[1] == 3);
	scenario_expect(s->popped[0] && s->popped[1]);
	scenario_expect(s->top == NULL);
}

const struct scenario scenario_treiber_stack = {
	.name = "treiber-stack",
	.shows = "two push and pop each: what was pushed is popped once",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct treiber),
	.setup = treiber_setup,
	.body = treiber_body,
	.finish = treiber_finish,
};

/* ---- P3: a sequence counter --------------------------------------------------------------- */

struct seqlock {
	struct seqcount sequence;
	u32 a, b;
};

static int seqlock_setup(void *state)
{
	struct seqlock *s = state;

	scenario_name_field(s, sequence);
	scenario_name_field(s, a);
	scenario_name_field(s, b);
	return 0;
}

static void seqlock_body(void *state, unsigned body)
{
	struct seqlock *s = state;

	if (body == 0) {
		seq_write_begin(&s->sequence);
		atomic_store(&s->a, 1u);
		atomic_store(&s->b, 1u);
		seq_write_end(&s->sequence);
		return;
	}
	for (int tries = 0; tries < 2; tries++) {
		u32 begin = seq_read_begin(&s->sequence);
		u32 a = atomic_load(&s->a);
		u32 b = atomic_load(&s->b);

		if (seq_read_retry(&s->sequence, begin))
			continue;
		scenario_expect(a == b);
		return;
	}
}

const struct scenario scenario_seqlock = {
	.name = "seqlock",
	.shows = "one writer, two readers: a pair is never seen torn",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct seqlock),
	.setup = seqlock_setup,
	.body = seqlock_body,
};

/* ---- P4: Michael and Scott's queue -------------------------------------------------------------- */

struct queue_node {
	struct queue_node *next; /* (A) */
	u32 value;
};

struct queue {
	struct queue_node *head, *tail; /* (A) */
	struct queue_node nodes[3];     /* the first is the dummy */
	u32 taken[2];
};

static int queue_setup(void *state)
{
	struct queue *s = state;

	s->head = &s->nodes[0];
	s->tail = &s->nodes[0];
	scenario_name_field(s, head);
	scenario_name_field(s, tail);
	scenario_name(&s->nodes[0], sizeof(s->nodes[0]), 0, "dummy");
	scenario_name(&s->nodes[1], sizeof(s->nodes[1]), 0, "node1");
	scenario_name(&s->nodes[2], sizeof(s->nodes[2]), 0, "node2");
	return 0;
}

static void enqueue(struct queue *s, struct queue_node *node)
{
	for (;;) {
		struct queue_node *tail = atomic_load_acquire(&s->tail);
		struct queue_node *next = atomic_load_acquire(&tail->next);

		if (next) {
			atomic_cas(&s->tail, &tail, next);
			continue;
		}
		if (atomic_cas(&tail->next, &next, node)) {
			atomic_cas(&s->tail, &tail, node);
			return;
		}
	}
}

static u32 dequeue(struct queue *s)
{
	for (;;) {
		struct queue_node *head = atomic_load_acquire(&s->head);
		struct queue_node *tail = atomic_load_acquire(&s->tail);
		struct queue_node *next = atomic_load_acquire(&head->next);

		if (!next)
			return 0;
		if (head == tail) {
			atomic_cas(&s->tail, &tail, next);
			continue;
		}
		if (atomic_cas(&s->head, &head, next))
			return next->value;
	}
}

static void queue_body(void *state, unsigned body)
{
	struct queue *s = state;
	struct queue_node *node = &s->nodes[1 + body];

	node->value = body + 1;
	enqueue(s, node);
	s->taken[body] = dequeue(s);
}

static void queue_finish(void *state)
{
	const struct queue *s = state;

	scenario_expect(s->taken[0] + s->taken[1] == 3);
	scenario_expect(s->taken[0] && s->taken[1]);
}

const struct scenario scenario_michael_scott = {
	.name = "michael-scott",
	.shows = "two enqueue and dequeue each: what goes in comes out once",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct queue),
	.setup = queue_setup,
	.body = queue_body,
	.finish = queue_finish,
};
