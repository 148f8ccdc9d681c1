/* The sender and its record. Included by takeover.pml, which explains. */

#define OR_KILLED :: atomic { KILL_SENDER && faults > 0 -> faults--; goto ended }
#define FILE      inode[opened[me]]
#define HOLDS     (opened[me] == path)

inline destroy(i, s) {
    inode[i].slot[s].whole = 0; inode[i].slot[s].epoch = 0;
    inode[i].slot[s].count = 0; inode[i].slot[s].acked = 0; inode[i].slot[s].ident = 0
}

inline blank(i) {
    inode[i].locked = 0; inode[i].newest = 0; destroy(i, 0); destroy(i, 1)
}

inline new_inode_at_path() {
    path = 0;
    do
    :: opened[0] == path || opened[1] == path -> path++
    :: else -> break
    od;
    blank(path)
}

inline open_path() {
    if :: path == NOFILE -> new_inode_at_path() :: else fi;
    opened[me] = path
}

inline awake() {
    alive[me] = 1; turn = 1 - me; open_path()
}

inline recall(s) {
    my_epoch = FILE.slot[s].epoch; count = FILE.slot[s].count; acked = FILE.slot[s].acked;
    my_ident = FILE.slot[s].ident
}

inline read_record() {
    if
    :: FILE.slot[FILE.newest].whole -> recall(FILE.newest)
    :: !FILE.slot[FILE.newest].whole && FILE.slot[1 - FILE.newest].whole -> recall(1 - FILE.newest)
    :: else
    fi;
    known = (count > 0);
    SKIP()
}

inline write() {
    slot = NEXT_SLOT;
    FILE.slot[slot].whole = 1; FILE.slot[slot].epoch = my_epoch;
    FILE.slot[slot].count = count; FILE.slot[slot].acked = acked;
    FILE.slot[slot].ident = my_ident;
    FILE.newest = slot;
    slot = 0;
    RENAME()
}

inline adopt(n) {
    if
    :: n > 0 ->
        check(ack_not_durable, n > last);
        acked = n;
        count = (count < n -> n : count)
    :: else
    fi
}

#define OLD_COPY(c) (conn[c].first == my_ident && conn[c].last > 0 && conn[c].last < acked && \
    !insisted)

#define RESUMED_BY(c) (REPLIED(c) && conn[c].reply == RESUMED)

#define MAY_EMIT (state == UP && conn[link].state == OPEN && !UNREAD(link) && \
    conn[link].reply == 0 && acked < count)

inline emit() {
    send(link, COUNTS, acked + 1, count);
    emitted = (emitted < count -> count : emitted)
}

inline hang_up() {
    release(link); link = NOCONN; state = DOWN
}

proctype Sender(bit me) {
    byte my_epoch, my_life, count, acked;
    byte my_ident;  /* of the ledger that has what is acknowledged */
    bit insisted;   /* in this connection the receiver was told that its ledger is old */
    byte link = NOCONN;
    mtype state = DOWN;
    bool known;     /* or the first count waits for the receiver's answer */
    bool raise;
    bit slot;

end_asleep:
    if
    :: d_step { !alive[me] && !alive[1 - me] && turn == me -> awake() }
    :: d_step { BESIDE && faults > 0 && !alive[me] && alive[1 - me] -> faults--; awake() }
    fi;
end_waiting:
    if
    :: d_step { !FILE.locked || NO_LOCK ->
        if
        :: HOLDS ->
            FILE.locked = 1; runs++; my_life = runs; holders++;
            check(restless, runs > 1 + (AGED > 0 -> 2 : 0) + FAULTS);
            check(two_holders, holders > 1 && !record_harmed);
            read_record();
            my_epoch++;
            FIRST_TEAR()
        :: else -> open_path()
        fi }
    OR_KILLED
    fi;
    if
    :: my_life == 0 -> goto end_waiting
    :: my_life != 0 && !WRITES_EPOCH_FIRST -> goto end_running
    :: else
    fi;

writing:
    if
    :: d_step { true -> write() }
#if EMIT_BEFORE_PERSIST
    :: d_step { MAY_EMIT -> emit() }; goto writing
#endif
    OR_KILLED
    fi;

end_running:
    do
    /* take a count */
    :: d_step { known && count < N && HOLDS_AT_COMMIT ->
        count++;
        check(tick_lost, count <= emitted && !record_harmed);
        TEAR() };
        goto writing
    :: atomic { known && count < N && !HOLDS_AT_COMMIT -> goto ended }
    /* connect */
    :: d_step { state == DOWN && up && ROOM ->
        link = 0;
        do
        :: conn[link].state != FREE -> link++
        :: else -> break
        od;
        conn[link].state = OPEN; conn[link].epoch = my_epoch; conn[link].life = my_life;
        send(link, CLAIM, 0, 0);
        state = OPENING }
    /* admitted */
    :: d_step { state == OPENING && REPLIED(link) && conn[link].reply == ADMITTED ->
        send(link, RESUME, 0, 0); insisted = 0;
        state = RESUMING }
    /* resumed, by an old copy of our ledger */
    :: d_step { state == RESUMING && RESUMED_BY(link) && OLD_COPY(link) ->
        send(link, RESUME, 0, count); insisted = 1 }
    /* refused */
    :: d_step { state == OPENING && REPLIED(link) && conn[link].reply == UNAVAILABLE -> hang_up() }
    :: atomic { state == OPENING && REPLIED(link) && conn[link].reply == STALE ->
        d_step {
            raise = (conn[link].last >= my_epoch);
            if :: raise -> my_epoch = RAISED(conn[link].last) :: else fi;
            check(raced, RACES && my_epoch > 3 * runs + 4);
            hang_up() };
        if
        :: raise && HOLDS_AT_RAISE -> raise = 0; TEAR(); goto writing
        :: raise && !HOLDS_AT_RAISE -> goto ended
        :: else
        fi }
    /* resumed */
    :: d_step { state == RESUMING && RESUMED_BY(link) && !OLD_COPY(link) && HOLDS_AT_RESUMED ->
        ADOPT_RESUMED(conn[link].last);
        my_ident = conn[link].first; conn[link].first = 0;
        conn[link].reply = 0; conn[link].last = 0;
        known = 1; state = UP }
    :: atomic { state == RESUMING && RESUMED_BY(link) && !OLD_COPY(link) && !HOLDS_AT_RESUMED ->
        goto ended }
    :: d_step { state == RESUMING && REPLIED(link) && conn[link].reply != RESUMED -> hang_up() }
    /* emit */
    :: d_step { MAY_EMIT -> emit() }
    /* answered */
    :: d_step { state == UP && REPLIED(link) ->
        if
        :: conn[link].reply == FENCED -> hang_up()
        :: conn[link].reply == UNAVAILABLE -> conn[link].reply = 0
        :: else -> adopt(conn[link].last); conn[link].reply = 0; conn[link].last = 0
        fi }
    /* connection ended */
    :: d_step { RECONNECTS && link != NOCONN && conn[link].state == DEAD -> hang_up() }
    :: atomic { CUT && faults > 0 && link != NOCONN && conn[link].state == OPEN ->
        faults--;
        if
        :: UNREAD(link) -> conn[link].state = LEFT; link = NOCONN; state = DOWN
        :: d_step { true -> hang_up() }
        fi }
    OR_KILLED
    od;

ended:
    atomic {
        if
        :: link != NOCONN && conn[link].state == OPEN && UNREAD(link) -> conn[link].state = LEFT
        :: link != NOCONN -> release(link)
        :: link == NOCONN
        fi;
        d_step {
            if :: my_life != 0 -> holders--; FILE.locked = 0 :: else fi;
            if :: !HOLDS && opened[me] != opened[1 - me] -> blank(opened[me]) :: else fi;
            opened[me] = NOFILE; alive[me] = 0;
            my_epoch = 0; my_life = 0; count = 0; acked = 0; link = NOCONN; state = DOWN;
            known = 0; raise = 0; slot = 0; my_ident = 0; insisted = 0 }
    };
    goto end_asleep
}

