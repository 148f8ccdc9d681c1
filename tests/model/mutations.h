/*
 * The rules of takeover.pml, each with the mutation that takes it away (-DNAME=1).
 * test_model.py says for each mutation which violation catches it, or why none does.
 */

/* Kinds of fault that are not asked for do not happen. */
#ifndef KILL_SENDER
#define KILL_SENDER 0
#endif
#ifndef KILL_RECEIVER
#define KILL_RECEIVER 0
#endif
#ifndef CUT
#define CUT 0
#endif
#ifndef BESIDE
#define BESIDE 0
#endif
#ifndef UNLINK
#define UNLINK 0
#endif
#ifndef DAMAGE
#define DAMAGE 0
#endif
#ifndef FULL
#define FULL 0
#endif
#ifndef POWER
#define POWER 0
#endif
#ifndef WEDGED
#define WEDGED 0
#endif
#ifndef LEDGER
#define LEDGER 0
#endif
#ifndef OLD_LEDGER
#define OLD_LEDGER 0
#endif
#ifndef AGED
#define AGED 0
#endif
#ifndef NO_LOCK
#define NO_LOCK 0
#endif
#ifndef NO_LEDGER_LOCK
#define NO_LEDGER_LOCK 0
#endif
#ifndef JUDGED /* 0: what is stuck does not matter */
#define JUDGED 1
#endif
#ifndef RACES /* 0: that two outbid each other does not matter */
#define RACES 1
#endif
#ifndef NO_MARK
#define NO_MARK 0
#endif
#ifndef BLIND
#define BLIND 0
#endif
#define NEWEST inode[path].slot[inode[path].newest]
#define OLD_ENOUGH (OLD_LEDGER < 2 || \
    (path != NOFILE && NEWEST.whole && NEWEST.ident == ident && NEWEST.acked >= last))

/* ---- the store ---- */

#if ONE_SLOT
#define NEXT_SLOT FILE.newest
#else
#define NEXT_SLOT (1 - FILE.newest)
#endif
#define TEAR() destroy(opened[me], NEXT_SLOT)

#if EPOCH_NOT_WRITTEN_FIRST
#define FIRST_TEAR() skip
#define WRITES_EPOCH_FIRST 0
#else
#define FIRST_TEAR() TEAR()
#define WRITES_EPOCH_FIRST 1
#endif

#if RENAME_OVER /* a new file with the record is moved to the path; the lock stays with the old */
#define RENAME() new_inode_at_path(); \
    inode[path].newest = FILE.newest; copy_slot(0); copy_slot(1)
#define copy_slot(s) inode[path].slot[s].whole = FILE.slot[s].whole; \
    inode[path].slot[s].epoch = FILE.slot[s].epoch; \
    inode[path].slot[s].count = FILE.slot[s].count; inode[path].slot[s].acked = FILE.slot[s].acked
#else
#define RENAME() skip
#endif

#if NO_VERIFY_AT_COMMIT
#define HOLDS_AT_COMMIT true
#else
#define HOLDS_AT_COMMIT HOLDS
#endif
#if NO_VERIFY_AT_RAISE
#define HOLDS_AT_RAISE true
#else
#define HOLDS_AT_RAISE HOLDS
#endif
#if NO_VERIFY_AT_RESUMED
#define HOLDS_AT_RESUMED true
#else
#define HOLDS_AT_RESUMED HOLDS
#endif

/* ---- the sender ---- */

#if SKIPS_UNACKNOWLEDGED /* a successor goes on with the count after the record's */
#define SKIP() acked = count
#else
#define SKIP() skip
#endif

#if NEVER_RAISES
#define RAISED(e) my_epoch
#else
#define RAISED(e) (e + 1)
#endif

#if IGNORES_RESUMED
#define ADOPT_RESUMED(n) skip
#else
#define ADOPT_RESUMED(n) adopt(n)
#endif

#if NEVER_RECONNECTS
#define RECONNECTS false
#else
#define RECONNECTS true
#endif

/* ---- the receiver ---- */

#if STALE_ADMITTED
#define ADMITS(c) true
#elif SAME_EPOCH_ADMITTED /* also from another run */
#define ADMITS(c) (conn[c].epoch >= m_epoch)
#else
#define ADMITS(c) (m_epoch == 0 || conn[c].epoch > m_epoch || \
    (conn[c].epoch == m_epoch && conn[c].life == m_life))
#endif

#if NO_FENCE
#define LISTENS_TO(c) true
#elif FENCE_BY_EPOCH_ONLY /* not by connection */
#define LISTENS_TO(c) (conn[c].epoch == m_epoch)
#else
#define LISTENS_TO(c) (c == current)
#endif

#if DUPLICATE_ACCEPTED
#define IS_DUPLICATE(c) false
#else
#define IS_DUPLICATE(c) (m_last > 0 && conn[c].last <= m_last)
#endif
#if GAP_ACCEPTED
#define IS_GAP(c) false
#else
#define IS_GAP(c) (m_last > 0 && conn[c].first > m_last + 1)
#endif

#if CLAIM_NOT_STORED /* until a count is */
#define CLAIM_IS_STORED 0
#else
#define CLAIM_IS_STORED 1
#endif

#if ANSWER_BEFORE_COMMIT
#define ANSWER_AT_ONCE(c) conn[c].stage = 0
#else
#define ANSWER_AT_ONCE(c) skip
#endif
#if RESUMED_BEFORE_COMMIT /* and a run that comes back is admitted at once: it changes nothing */
#define AT_ONCE(c) conn[c].stage = 0
#else
#define AT_ONCE(c) skip
#endif

#if ASKS_ONLY_THE_JOURNAL /* and not the senders, what an old copy of the ledger had */
#define BELIEVES_SENDER false
#else
#define BELIEVES_SENDER true
#endif

#if NO_ROLL_BACK
#define ROLL_BACK() skip
#else
#define ROLL_BACK() forget(); current = before
#endif

/* ---- what is printed ---- */

#if PRINT_BEFORE_COMMIT
#define PRINT_AT_ONCE(c) do \
    :: printed < m_last -> printed++; print(printed); mark = printed; intended = printed \
    :: else -> break \
    od
#define PRINT_LATER(n) skip
#else
#define PRINT_AT_ONCE(c) skip
#define PRINT_LATER(n) print(n)
#endif

#if NO_OUTBOX
#define FIRST_UNPRINTED last
#elif NOT_COMPARED /* the whole outbox is printed again */
#define FIRST_UNPRINTED pruned
#else
#define FIRST_UNPRINTED (journal > pruned -> journal : pruned)
#endif

#if NO_INTENT /* only what is out is marked */
#define INTEND() intended = printed + 1; mark = printed
#define INTENDED true
#define IN_DOUBT_NOTICED 0
#elif MARKED_TOO_EARLY
#define INTEND() intended = printed + 1; mark = printed + 1
#define INTENDED (intended == printed + 1)
#define IN_DOUBT_NOTICED 1
#else
#define INTEND() intended = printed + 1
#define INTENDED (intended == printed + 1)
#define IN_DOUBT_NOTICED 1
#endif

#if NOT_FOUND_IS_NOT_PRINTED
#define GUESSED(least, most) least
#else
#define GUESSED(least, most) most
#endif

#if OLD_BELIEVED
#define OLD_NOTICED 0
#else
#define OLD_NOTICED 1
#endif

#if OLD_GOES_ON
#define MAY_GUESS 1
#else
#define MAY_GUESS !KNOWN_OLD
#endif

#if OUTBOX_NOT_KEPT /* until journald has synced */
#define UNSYNCED 0
#else
#define UNSYNCED pruned
#endif

#if NOT_REBUILT /* a new ledger knows nothing, though the journal does */
#define REBUILD() skip
#else
#define REBUILD() last = (last < journal -> journal : last); \
    life = (told > epoch -> told_life : life); epoch = (told > epoch -> told : epoch)
#endif
