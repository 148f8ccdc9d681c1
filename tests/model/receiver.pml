/* The receiver, its ledger and its output. Included by takeover.pml, which explains. */

inline decide(c, what, n) {
    conn[c].request = 0; conn[c].reply = what; conn[c].first = 0; conn[c].last = n;
    conn[c].stage = 1
}

inline decide_claim(c) {
    check(epoch_fell, ADMITS(c) && conn[c].epoch < admitted && !ledger_lost);
    if
    :: ADMITS(c) && conn[c].epoch == m_epoch && conn[c].life == m_life ->
        current = c; decide(c, ADMITTED, 0); AT_ONCE(c)
    :: ADMITS(c) && !(conn[c].epoch == m_epoch && conn[c].life == m_life) ->
        m_epoch = conn[c].epoch; m_life = conn[c].life; stored = stored || CLAIM_IS_STORED;
        current = c; decide(c, ADMITTED, 0)
    :: else -> decide(c, STALE, m_epoch)
    fi
}

/* An old copy of the ledger is told what it may have printed: see Resume. */
inline decide_resume(c) {
    if
    :: LISTENS_TO(c) && BELIEVES_SENDER && !m_counted && m_last > 0 && conn[c].last > m_last ->
        m_last = conn[c].last; m_counted = 1; stored = 1; unproven = 1; printed = m_last
    :: else
    fi;
    if
    :: LISTENS_TO(c) -> decide(c, RESUMED, m_last); conn[c].first = ident; AT_ONCE(c)
    :: else -> decide(c, FENCED, m_last)
    fi
}

inline accept(c) {
    check(accepted_gap, conn[c].first > m_last + 1 && (m_last > 0 || conn[c].first > journal + 1));
    check(accepted_twice, conn[c].last <= m_last);
    check(accepted_outsider, conn[c].life != m_life);
    check(accepted_older_run, conn[c].life < m_listened);
    m_listened = conn[c].life;
    if :: m_last == 0 -> printed = conn[c].first - 1 :: else fi;
    m_last = conn[c].last; m_counted = 1; stored = 1;
    PRINT_AT_ONCE(c);
    decide(c, ACCEPTED, m_last);
    ANSWER_AT_ONCE(c)
}

inline decide_counts(c) {
    if
    :: !LISTENS_TO(c) -> decide(c, FENCED, m_last)
    :: LISTENS_TO(c) && IS_DUPLICATE(c) -> decide(c, DUPLICATE, m_last)
    :: LISTENS_TO(c) && !IS_DUPLICATE(c) && IS_GAP(c) -> decide(c, GAP, m_last)
    :: else -> accept(c)
    fi
}

inline decide_any(c) {
    if
    :: conn[c].request == CLAIM -> decide_claim(c)
    :: conn[c].request == RESUME -> decide_resume(c)
    :: conn[c].request == COUNTS -> decide_counts(c)
    fi
}

inline print(n) {
    check(printed_twice, n <= journal);
    check(printed_gap, n > journal + 1 && !unproven);
    journal = n
}

#define ANY(s) (conn[0].stage == s || conn[1].stage == s || conn[2].stage == s)

inline make_durable(c) {
    if :: conn[c].stage == 1 -> conn[c].stage = 2 :: else fi
}

inline make_unavailable(c) {
    if :: conn[c].stage == 1 -> decide(c, UNAVAILABLE, 0); conn[c].stage = 2 :: else fi
}

inline answer(c) {
    if
    :: conn[c].reply == ADMITTED && conn[c].epoch > admitted -> admitted = conn[c].epoch
    :: else
    fi;
    if
    :: conn[c].reply == ADMITTED && conn[c].epoch > told ->
        told = conn[c].epoch; told_life = conn[c].life
    :: else
    fi;
    if :: conn[c].state == LEFT -> release(c) :: else -> conn[c].stage = 0 fi;
    if :: !ANY(2) -> phase = GATHERING :: else fi
}

inline server_gone(c) {
    if
    :: conn[c].state == LEFT -> release(c)
    :: conn[c].state == OPEN -> release(c); conn[c].state = DEAD
    :: else
    fi
}

inline forget() {
    m_epoch = epoch; m_life = life; m_last = last; m_listened = listened; m_counted = counted;
    if :: printed > last -> printed = last :: else fi
}

/* What the mark does not say has to be asked. */
#define IN_DOUBT (IN_DOUBT_NOTICED && !mark_lost && intended > mark)
#define IS_OLD   (OLD_NOTICED && (old || (!mark_lost && mark > last)))
#define KNOWN_OLD (IS_OLD && !mark_lost)
#define ASKS     (is_new || mark_lost || IN_DOUBT || IS_OLD)
#define READY    (wedged == 0 || NO_LEDGER_LOCK)

/* The journal answers, with all that was written to it. */
inline ask() {
    if
    :: is_new || IS_OLD || (mark_lost && journal > last && OLD_NOTICED) ->
        REBUILD(); printed = last
    :: else ->
        if
        :: IN_DOUBT -> printed = (journal >= intended -> intended : mark)
        :: else -> printed = FIRST_UNPRINTED
        fi
    fi
}

/* It does not: nothing is printed again, and that is said. */
inline guess() {
    if
    :: IN_DOUBT && !is_new && !IS_OLD -> unproven = 1; printed = GUESSED(mark, intended)
    :: else -> unproven = unproven || printed < last; printed = GUESSED(pruned, last)
    fi
}

inline start() {
    is_new = 0; old = 0; mark_lost = 0;
    forget();
    mark = printed; intended = printed;
    phase = PRINTING; up = 1
}

inline stop_serving() {
    up = 0; stored = 0; phase = GATHERING; printed = 0; current = NOCONN; before = NOCONN;
    m_epoch = 0; m_life = 0; m_last = 0; m_listened = 0; counted = 0; m_counted = 0;
    server_gone(0); server_gone(1); server_gone(2)
}

proctype Receiver() {
end_down:
    if
    :: d_step { READY && !ASKS -> printed = (mark > pruned -> mark : pruned); start() }
    :: d_step { READY && ASKS -> ask(); start() }
    /* not if the mark says that the ledger is old: then it waits until it can ask */
    :: d_step { READY && ASKS && MAY_GUESS && BLIND && faults > 0 -> faults--; guess(); start() }
    :: d_step { NO_MARK && faults > 0 && !mark_lost ->
        faults--; mark_lost = 1; mark = 0; intended = 0 }; goto end_down
#if MARK_READ_BEFORE_LOCK
    :: d_step { !ASKS || IN_DOUBT -> printed = mark };
        if
        :: d_step { wedged == 0 -> intended = mark; start() }
        :: d_step { wedged > 0 -> printed = 0 }; goto end_down
        fi
#endif
#if REBUILT_LATER
    :: d_step { is_new && KILL_RECEIVER && faults > 0 -> faults--; is_new = 0 }; goto end_down
#endif
#if COMPARE_WITHOUT_SYNC
    :: d_step { READY && ASKS && journal > pruned -> ask(); printed = printed - 1; start() }
#endif
    fi;

end_serving:
    do
    :: d_step { phase == GATHERING && conn[0].request != 0 -> decide_any(0) }
    :: d_step { phase == GATHERING && conn[1].request != 0 -> decide_any(1) }
    :: d_step { phase == GATHERING && conn[2].request != 0 -> decide_any(2) }
    /* commit */
    :: d_step { phase == GATHERING && (ANY(1) || stored) ->
        if :: printed > last && printed >= m_last -> pruned = printed :: else fi;
        if :: stored -> epoch = m_epoch; life = m_life; last = m_last; stored = 0 :: else fi;
        listened = m_listened; counted = m_counted; before = current;
        make_durable(0); make_durable(1); make_durable(2);
        phase = PRINTING }
    /* commit fails */
    :: d_step { FULL && faults > 0 && phase == GATHERING && ANY(1) ->
        faults--; stored = 0;
        ROLL_BACK();
        make_unavailable(0); make_unavailable(1); make_unavailable(2);
        phase = ANSWERING }
    :: d_step { phase == PRINTING && printed < last && mark == printed && intended == printed ->
        INTEND() }
    :: d_step { phase == PRINTING && printed < last && INTENDED ->
        printed++; PRINT_LATER(printed) }
    :: d_step { phase == PRINTING && mark < printed -> mark = printed; intended = printed }
    :: d_step { phase == PRINTING && printed >= last && mark >= printed && ANY(2) -> phase = ANSWERING }
    :: d_step { phase == PRINTING && printed >= last && mark >= printed && !ANY(2) -> phase = GATHERING }
    :: d_step { phase == ANSWERING && conn[0].stage == 2 -> answer(0) }
    :: d_step { phase == ANSWERING && conn[1].stage == 2 -> answer(1) }
    :: d_step { phase == ANSWERING && conn[2].stage == 2 -> answer(2) }
    :: d_step { phase == ANSWERING && !ANY(2) -> phase = GATHERING }
    /* prune: what journald has synced to disk, no sooner */
    :: d_step { POWER && faults > 0 && pruned < journal -> pruned++ }
    :: d_step { KILL_RECEIVER && faults > 0 -> faults--; stop_serving() }; goto end_down
    :: d_step { WEDGED && faults > 0 && phase == PRINTING && printed < last && INTENDED && wedged == 0 ->
        faults--; wedged = printed + 1; stop_serving() }; goto end_down
    :: atomic { POWER && faults > 0 ->
        faults--;
        do
        :: journal > UNSYNCED -> journal--
        :: break
        od;
        d_step { true -> mark_lost = 1; mark = 0; intended = 0; stop_serving() } }; goto end_down
    :: d_step { NO_MARK && faults > 0 ->
        faults--; mark_lost = 1; mark = 0; intended = 0; stop_serving() }; goto end_down
    :: d_step { LEDGER && faults > 0 ->
        faults--; ledger_lost = 1; is_new = 1; ident++; epoch = 0; life = 0; last = 0; pruned = 0;
        stop_serving() }; goto end_down
    /* of a group before the last one: it was printed before the next was committed */
    :: d_step { OLD_LEDGER && faults > 0 && last > 1 && journal >= last - 1 && OLD_ENOUGH ->
        faults--; ledger_lost = 1; old = 1;
        if :: OLD_LEDGER > 1 -> mark_lost = 1; mark = 0; intended = 0 :: else fi;
        epoch = (epoch > 1 -> epoch - 1 : 1); life = 0; last = last - 1;
        pruned = (pruned < last -> pruned : last);
        stop_serving() }; goto end_down
    od
}

