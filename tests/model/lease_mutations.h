/*
 * The rules of lease.pml, each with the mutation that takes it away (-DNAME=1).
 * test_lease.py says for each mutation which violation catches it, or why none does.
 */

/* Kinds of fault that are not asked for do not happen. */
#ifndef KILL
#define KILL 0
#endif
#ifndef LOSE
#define LOSE 0
#endif
#ifndef STOP
#define STOP 0
#endif
#ifndef CUT
#define CUT 0
#endif
#ifndef JUMP
#define JUMP 0
#endif
#ifndef OUTAGE
#define OUTAGE 0
#endif
#ifndef MOVE
#define MOVE 0
#endif
#ifndef DELETE
#define DELETE 0
#endif
#ifndef PAUSE
#define PAUSE 0
#endif
#ifndef START
#define START 0
#endif
#ifndef ABSENT /* 1: at the beginning there is no key; 0: host 0 has just taken it */
#define ABSENT 0
#endif
#ifndef PROMPT /* 1: a step that is due is taken before time goes on */
#define PROMPT 0
#endif
#ifndef SENT_AT_ONCE /* 1: nobody is stopped between the check of the deadline and the emit */
#define SENT_AT_ONCE 0
#endif
#ifndef TAKES_JUDGED /* 0: that a living holder loses the key does not matter */
#define TAKES_JUDGED 1
#endif
#ifndef COUNTS_JUDGED /* 0: that the key has not all that was emitted does not matter */
#define COUNTS_JUDGED 1
#endif
#ifndef OUT_HOLDS_JUDGED /* 1: that two count, one of them without etcd, matters too */
#define OUT_HOLDS_JUDGED 0
#endif
#ifndef UNTOLD_JUDGED /* 1: who goes on without etcd must obey a pause that it was not told of */
#define UNTOLD_JUDGED 0
#endif
#ifndef OUT_COUNTS_JUDGED /* 1: what was sent without etcd has to be in the key, too */
#define OUT_COUNTS_JUDGED 0
#endif

/* ---- the clocks ---- */

#if DEADLINE_IS_LEASE
#define DEADLINE SLOW(LEASE)
#else
#define DEADLINE LEASE /* 0.7 x LEASE on the slowest clock */
#endif

#if DEADLINE_FROM_ANSWER
#define RENEWED_AGE(h) 0
#else
#define RENEWED_AGE(h) asked[h]
#endif

#if SHOWN_IS_RENEWED /* a failed compare that shows a write of our own is a renewal */
#define SHOWN_AGE(h) asked[h]
#else
#define SHOWN_AGE(h) lived[h]
#endif

#if SEEN_FROM_SENDING /* of the read, not from its answer */
#define SEEN_AGE(h) asked[h]
#define READ_AT_ONCE 0
#define SENDING_COUNTS(h) (q[h].kind != NOTHING)
#else
#define SEEN_AGE(h) 0
#define READ_AT_ONCE !PROMPT
#define SENDING_COUNTS(h) (q[h].kind != NOTHING && q[h].kind != READ)
#endif

#if WALL_CLOCK
#define JUMPS(h) lived[h] = 0; seen[h] = (mode[h] == STANDING_BY -> LEASE : 0)
#else
#define JUMPS(h) skip
#endif

#if CLOCK_STOPS /* in a suspend: CLOCK_MONOTONIC */
#define RUNS(h) !stopped[h]
#else
#define RUNS(h) true
#endif

#if NO_QUARTER
#define HAS_ANSWERED(h) true
#else
#define HAS_ANSWERED(h) (!PROMPT || (answering[h] && streak[h] >= QUARTER))
#endif

#if ANSWERING_FROM_SENDING /* of the first read that was answered, not from its answer */
#define STREAK_AGE(h) (asked[h] < QUARTER -> asked[h] : QUARTER)
#else
#define STREAK_AGE(h) 0
#endif

#if NOT_CHECKED_AGAIN /* after a renewal that was made because the deadline had passed */
#define PASSES 1
#else
#define PASSES 0
#endif

#if RETRIES_LATE /* the time-out of a renewal is as long as the quarter */
#define TIMEOUT(h) QUARTER
#else
#define TIMEOUT(h) (QUARTER / 2)
#endif

#if SEEN_RESTARTS /* with each read */
#define SAME(h) false
#else
#define SAME(h) q[h].same
#endif

/* ---- the key ---- */

#if TAKE_BY_PUT
#define PUTS(r, h) (r.kind == TAKE && key.host != h)
#elif RETURNS_BY_PUT /* after an outage, whatever is in the key by now */
#define PUTS(r, h) (r.kind == WRITE && out[h])
#elif HALF_BY_PUT /* by the other half of a host */
#define PUTS(r, h) (r.kind == TAKE && r.half)
#else
#define PUTS(r, h) false
#endif

#if OWN_NOT_KNOWN /* our own write that had landed is taken for another's */
#define KNOWS_OWN(h) false
#else
#define KNOWS_OWN(h) q[h].own
#endif

#if OWN_BY_HOST /* whichever run of this host it was */
#define IS_OWN(h) (key.host == h && !key.released)
#else
#define IS_OWN(h) (key.host == h && key.life == life_of[h] && !key.released)
#endif

#if FIGHTS /* who lost the key takes it back at once */
#define MAY_FIGHT(h) had[h]
#define REMEMBERS 1
#else
#define MAY_FIGHT(h) false
#define REMEMBERS 0
#endif

#if EMITS_BEFORE_WRITTEN
#define SENDABLE(h) count[h]
#else
#define SENDABLE(h) durable[h]
#endif

#if RELEASE_GOES_ON
#define MAY_COUNT(h) (mode[h] == HOLDING || mode[h] == LEAVING)
#else
#define MAY_COUNT(h) (mode[h] == HOLDING)
#endif

/* ---- without etcd ---- */

#if RAISES_EPOCH /* above the receiver's, as one that has the lease does */
#define MAY_RAISE(h) (r_epoch < RAISED)
#else
#define MAY_RAISE(h) false
#endif

#if RAISE_FORGOTTEN /* by who goes out because that write is not answered */
#define RAISE_STAYS false
#else
#define RAISE_STAYS true
#endif

#if SENDS_ALL_AT_RETURN /* not only what is in the key */
#define SENDS_ALL true
#else
#define SENDS_ALL false
#endif

#if OWN_NOT_KEPT /* while etcd answers */
#define KEEPS false
#else
#define KEEPS CONTINUE
#endif

#if OWN_STAYS /* the own record says that this host has the key until it is written anew */
#define KNOWS_LOSS false
#else
#define KNOWS_LOSS true
#endif

/* ---- a pause ---- */

#if PAUSE_ONLY_READ /* and not compared */
#define IS_HELD(r) false
#else
#define IS_HELD(r) (paused && !r.exempt)
#endif

#if HALF_IS_EXEMPT /* whoever has started it */
#define IS_EXEMPT(h) (IS_MOVED(h) || key.host == h)
#elif STARTED_IS_EXEMPT /* on any host */
#define IS_EXEMPT(h) (IS_MOVED(h) || start_of[h] == PERSON)
#elif START_STAYS /* when it has had the key */
#define IS_EXEMPT(h) (IS_WANTED(h) || (start_of[h] == SPENT && key.host == h))
#else
#define IS_EXEMPT(h) IS_WANTED(h)
#endif

#if HELD_FOR_EVER
#define SEES_PAUSE(h) (knows[h] || q[h].paused)
#else
#define SEES_PAUSE(h) q[h].paused
#endif

#if HOLDER_HELD /* who counts does not write while the App is paused */
#define MAY_WRITE !paused
#else
#define MAY_WRITE true
#endif

#if NOTE_IGNORED
#define MAY_GO_ALONE(h) true
#else
#define MAY_GO_ALONE(h) (!noted[h] || start_of[h] == PERSON)
#endif

/* ---- the receiver ---- */

#if NO_EPOCH
#define ADMITS(h) true
#define LISTENS_TO(f, h) true
#else
#define ADMITS(h) (epoch_of[h] > r_epoch || \
    (epoch_of[h] == r_epoch && r_host == h && r_life == life_of[h]))
#define LISTENS_TO(f, h) (f.epoch == r_epoch && r_host == h && r_life == f.life)
#endif

#if NO_RESUME /* the run goes on after the key's count */
#define RESUMED(h) count[h]
#else
#define RESUMED(h) printed
#endif
