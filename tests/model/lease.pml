/*
 * The lease of an App over several hosts, for exhaustive search by spin (https://spinroot.com).
 *
 * One key in etcd, whose revision changes with each write; HOSTS hosts, each with one sender at a
 * time (its lock is takeover.pml's); a receiver that obeys the highest epoch; a world that breaks
 * things: at most FAULTS times, at any step, in any order. What is promised, and so what is
 * searched for, is the list of violations below.
 * test_lease.py runs it; lease_mutations.h takes the protocol's rules away one by one.
 *
 * Each step, and the function that does it (test_lease.py checks that they exist):
 *
 *   a READ        sendrecv/sender/store_etcd.py    EtcdStore._look
 *   see           sendrecv/core/lease.py           Sight.shown
 *   drop_request  sendrecv/core/lease.py           Sight.unanswered
 *   HAS_ANSWERED  sendrecv/core/lease.py           Sight.expires_at
 *   IS_FREE       sendrecv/core/lease.py           Here.why
 *   a TAKE, hold  sendrecv/sender/etcd_lease.py    HeldLease.take
 *   PERIOD        sendrecv/core/lease.py           Tenure.renews_at
 *   a WRITE       sendrecv/sender/etcd_lease.py    HeldLease.commit, HeldLease.renew
 *   a RELEASE     sendrecv/sender/etcd_lease.py    HeldLease.release, HeldLease.hand_over
 *   carry_out     sendrecv/sender/etcd.py          Etcd.put_if
 *   hear          sendrecv/sender/etcd_lease.py    HeldLease._write, HeldLease._is_carried_out
 *   KNOWS_OWN     sendrecv/sender/etcd_lease.py    HeldLease._own
 *   stand_by      sendrecv/sender/several_hosts.py SenderOfSeveral.run
 *   CAN_EMIT      sendrecv/core/lease.py           Tenure.may_send
 *   emit          sendrecv/sender/several_hosts.py SenderOfSeveral._carry_out_one
 *   join          sendrecv/core/receiver.py        ReceiverMachine._decide, ReceiverMachine._resume
 *   deliver       sendrecv/core/receiver.py        ReceiverMachine._accept
 *   go_out        sendrecv/sender/etcd_lease.py    HeldLease.commit
 *   go_alone      sendrecv/sender/etcd_lease.py    HeldLease.take_without_etcd
 *   look_again    sendrecv/sender/etcd_lease.py    HeldLease._attempt, HeldLease._revision_of_this_host
 *   IS_OUSTED     sendrecv/sender/etcd_lease.py    HeldLease._is_out
 *   keep          sendrecv/sender/etcd_lease.py    HeldLease.keep
 *   let_go        sendrecv/sender/etcd_lease.py    HeldLease.let_go
 *   HAS_NEWER     sendrecv/sender/etcd_belief.py   KnownRecord.newest
 *   IS_EXEMPT     sendrecv/core/lease.py           Here.is_asked
 *   knows         sendrecv/sender/etcd_pause.py    Pauses.look
 *   noted         sendrecv/sender/etcd_pause.py    Pauses.holds_alone
 *
 * Time is in ticks of the fastest clock. A clock may be slower, by 30 % at most: LEASE x 0.7 on the
 * slowest clock is LEASE ticks. So a holder may check its deadline with success for as long as
 * LEASE ticks have not gone by, and a stand-by may find the lease over as soon as they have. Both
 * are permissions, so every rate between is searched, and rates that change. "30 %" is the ratio
 * of two clocks: two clocks that are both 30 % off the true time, one fast and one slow, are worse
 * than what is searched here, and too much for LEASE x 0.7.
 *
 * PROMPT=0: a step may come at any time after it is possible, or never. So whoever is stopped,
 * starved, suspended, cut off needs no fault of his own, and answers are as late as they like.
 * PROMPT=1: whoever is not stopped takes the steps that are due before time goes on. This is for
 * the promises about the living: that they keep the key, and that counting goes on.
 *
 * What the search says of times, beside the lease and its deadline (LIMITS in test_lease.py):
 * - The time-out of a holder's write, the wait before the next one, and etcd's time for it must
 *   together be shorter than LEASE / 4 (RETRIES_LATE). Or else a stand-by is first after an outage.
 * - "etcd has answered" counts from an answer, too, as "unchanged" does (ANSWERING_FROM_SENDING).
 * - A failed compare that shows a write of our own proves nothing about the time since that write
 *   (SHOWN_IS_RENEWED). So two writes must never have the same value: a value that is found again
 *   may be that of a write long ago.
 * - The deadline is looked at again after the renewal that was made because it had passed
 *   (NOT_CHECKED_AGAIN): the answer may have been heard late.
 *
 * CONTINUE=1 is SENDRECV_ETCD_OUTAGE=continue. A holder whose write is not answered is "out": it
 * counts on from its own record, which is on its host's disk, and sends without a look at the
 * deadline. It tries to write the key meanwhile. A process that starts on that host and is not
 * answered goes on from the same record, under a greater epoch. What this gives up, and nothing
 * else (LIMITS): another host may hold the lease at the same time (OUT_HOLDS_JUDGED), and what was
 * sent while out may not be in the key that the next host takes (OUT_COUNTS_JUDGED). What it needs:
 * - The receiver's epoch, even if nobody is stopped between the check and the emit (NO_EPOCH).
 * - Who is out does not raise its epoch above the receiver's: that host is the holder (RAISES_EPOCH).
 * - Who goes out because such a write of a holder is not answered goes on with the raised epoch: the
 *   write may be carried out yet (RAISE_FORGOTTEN).
 * - What was taken after the write that was answered has to be written too before it is sent under
 *   the lease (SENDS_ALL_AT_RETURN).
 * - The record on the disk has each count that was sent, also while etcd answers (OWN_NOT_KEPT).
 * - A host which released the key, or was shown that it has not the key, knows that (OWN_STAYS).
 *
 * PAUSE=1: a person sets and removes a second key, at any moment: while it is there, no host takes
 * the App by itself. What a person asks for is exempt: a process that a person has started, on the
 * host that had the key last, and that has not had it yet; a host that the key was released for; and
 * who has released the key for a host that does not take it.
 * - That the key was not there when it was read is not enough: the take compares it
 *   (PAUSE_ONLY_READ).
 * - A half that its host has started by itself is not exempt (HALF_IS_EXEMPT), nor is a host that a
 *   person has started and that did not have the key last (STARTED_IS_EXEMPT), nor is a start that
 *   has had the key already (START_STAYS).
 * - Who counts does not look at the pause (HOLDER_HELD), and who was held looks again (HELD_FOR_EVER).
 * - If CONTINUE=1, a process that starts without etcd knows what its host was told of the pause, no
 *   more (NOTE_IGNORED). A pause that the host was not told of does not hold it (LIMITS).
 *
 * Left out, because nothing here depends on it:
 * - Revisions have no numbers. Whether a revision is the key's present one is all that matters, so
 *   whoever remembers a revision has a bit for that, which each write clears ("fresh").
 * - A take that compares an old revision is a read: it fails, and shows the key.
 * - If PROMPT=0, a read that is late on its way to etcd is a read that is sent later.
 * - A copy of a request to a second endpoint is no more than a request that was given up and is
 *   sent again: `late` and `q` have the same content then.
 * - A holder that is stopped between the check and the emit: its count is late on the connection.
 * - The receiver accepts whatever the run that it listens to sends. That it knows duplicates and
 *   gaps by their counts, too, is takeover.pml's.
 */

/* The bounds, and the kinds of fault, as -DNAME=1. */
#ifndef N
#define N 2 /* counts */
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef HOSTS
#define HOSTS 2
#endif
#ifndef LEASE
#define LEASE 4 /* ticks */
#endif
#ifndef LATENCY
#define LATENCY 1 /* ticks: the longest that etcd takes, if PROMPT=1 and it answers at all */
#endif
#ifndef TAKES
#define TAKES 3 /* epochs, if PROMPT=0 */
#endif
#ifndef RAISED
#define RAISED 4 /* the greatest epoch that is raised; without mutations there is none greater */
#endif
#ifndef CONTINUE
#define CONTINUE 0
#endif
/*  KILL        a sender dies; the other half of its host starts at once
 *  LOSE        a host is lost for good (not the last one)
 *  STOP        a host is stopped, and goes on later: SIGSTOP, freezer, suspend
 *  CUT         a host is cut off from etcd, and reaches it again later (if PROMPT=1)
 *  JUMP        a host's wall clock jumps
 *  OUTAGE      etcd answers nobody, for any time; requests are lost, or carried out now or later
 *  MOVE        a holder releases the key
 *  DELETE      the key is deleted by hand
 *  PAUSE       a person pauses and resumes the App (this costs no fault)
 *  START       a person starts the sender of a host anew
 */

#include "lease_mutations.h"

#define QUARTER     (LEASE / 4)
#define SLOW(ticks) ((ticks * 10 + 6) / 7)
#define NOBODY      HOSTS
#if HOSTS > 2
#define ANY(what)   (what(0) || what(1) || what(2))
#define DEAD_HOSTS  ((mode[0] == DEAD) + (mode[1] == DEAD) + (mode[2] == DEAD))
#else
#define ANY(what)   (what(0) || what(1))
#define DEAD_HOSTS  ((mode[0] == DEAD) + (mode[1] == DEAD))
#endif
#define IS_AWAY(h)  (stopped[h] || cut[h] || late[h].kind != NOTHING)
#ifndef SETTLED
/* Ticks after the last fault, until all is counted; where stand-bys have the fastest clock. */
#define SETTLED (LEASE + 3 * QUARTER + (N - 1) * SLOW(QUARTER))
#endif

mtype = { NOTHING, READ, WRITE, TAKE, RELEASE, LOST };
mtype = { STANDING_BY, HOLDING, LEAVING, DEAD };
mtype = { ITSELF, PERSON, SPENT };

typedef Key { byte host; byte life; byte epoch; byte count; bit released; byte to };
typedef Request {
    mtype kind;     /* LOST: nobody will answer */
    byte life;
    byte epoch;     /* to be written; of the key, in an answer */
    byte count;     /* the same */
    bit half;       /* of the host that had the key */
    bit fresh;      /* compares the key's present revision; in an answer: shows it */
    bit answered;
    bit ok;         /* the compare succeeded */
    bit own;        /* the answer shows a write of the run that asked */
    bit same;       /* the answer shows the revision that the host had seen before */
    bit exempt;     /* does not compare the pause */
    bit wanted;     /* a person has asked for it: only for the promise */
    bit paused;     /* the answer shows the pause */
    byte to         /* of a RELEASE: for that host; NOBODY: for any */
};
typedef Flight { byte count; byte epoch; byte life };

Key key;
bool up = 1;                    /* etcd */
bool paused;                    /* there is a key that says so */
byte changes = 2;               /* of that, if PROMPT=1 */
hidden byte i;

/* Of each host. */
mtype mode[HOSTS];
bool stopped[HOSTS];
bool cut[HOSTS];
byte life_of[HOSTS];             /* mod 4: nothing is as old as that */
byte epoch_of[HOSTS];
byte count[HOSTS];              /* the last one taken */
byte durable[HOSTS];            /* the last one that is known to be in the key */
byte acked[HOSTS];
bool joined[HOSTS];             /* admitted and resumed, and not fenced yet */
bool ref[HOSTS];                /* the revision that it knows is the key's */
byte lived[HOSTS];              /* since the sending of the last renewal that was answered */
byte asked[HOSTS];              /* since the sending of the last request */
byte seen[HOSTS];               /* since the first answer that showed the revision it knows */
bool pass[HOSTS];               /* only for NOT_CHECKED_AGAIN */
bool answering[HOSTS];          /* etcd has answered each request */
byte streak[HOSTS];             /* since the first answer of these */
Request q[HOSTS];               /* one at a time */
Request late[HOSTS];            /* one that was given up may be carried out all the same */
Flight flight[HOSTS];           /* one batch on the connection */
Flight left[HOSTS];             /* what a run left in its socket */

/* The receiver. */
byte r_epoch, r_host, r_life;
byte printed;

byte faults = FAULTS;
bool calm;                      /* no more faults, and nothing late */
byte calm_for;

/* Not in the system, only for the promises. */
byte taker = NOBODY;            /* who wrote the key's epoch */
byte taker_life;
byte emitted;                   /* under the lease */
bool told[HOSTS];               /* knows since it had the key that it has it no more */
bool ousted[HOSTS];             /* another was admitted since, with its epoch or a greater one */
byte silent_for;                /* ticks of an outage, if CONTINUE=1 */
bool harmed[HOSTS];             /* stopped, cut off or lost, and has written nothing since */
bool had[HOSTS];                /* has had the key (only for FIGHTS) */

/* Of each host, if CONTINUE=1. */
bool out[HOSTS];                /* counts on without etcd */
bool blind[HOSTS];              /* out, and has not read the key in this life */
byte disk_epoch[HOSTS];         /* its own record */
byte disk_count[HOSTS];
bool disk_had[HOSTS];           /* which says that this host has the key */

/* Of each host, if PAUSE=1. */
mtype start_of[HOSTS];          /* PERSON until it has had the key, then SPENT; or ITSELF */
bool knows[HOSTS];              /* it has seen the pause */
bool noted[HOSTS];              /* the host was told of it (only if CONTINUE=1) */
byte leaves_to[HOSTS];          /* of a LEAVING host */

/* VIOLATIONS. Each has one place where it is checked, except where two ways lead to it. */
bool two_hold;                  /* the check of the deadline succeeds after another took the key */
bool printed_twice;
bool printed_gap;
bool count_lost;                /* the key that is taken has not all that was emitted */
bool gave_up;                   /* a run that has the key, and did not release it, stands by */
bool took_from_living;          /* the key taken from a host that was not harmed */
bool stuck;                     /* etcd answers, a host lives, time goes by, and nobody counts;
                                   or etcd does not, the holder may go on without, and does not */
bool undone;                    /* a takeover is, by a write of an older epoch */
bool fights;                    /* who is out is admitted after another host was */
bool usurped;                   /* goes on without etcd, and was told that it has the key no more */
bool took_paused;               /* the App is paused, and a host takes it that no person asked */

inline check(name, bad) {
    if
    :: (bad) -> name = 1; assert(!name)
    :: else
    fi
}

/* ---- etcd ---- */

inline clear_request(r) {
    r.kind = NOTHING; r.life = 0; r.epoch = 0; r.count = 0; r.half = 0; r.fresh = 0;
    r.answered = 0; r.ok = 0; r.own = 0; r.same = 0;
    r.exempt = 0; r.wanted = 0; r.paused = 0; r.to = 0
}

/* Nothing are: how long a revision was seen that is not the key's any more, an answer that shows
 * it to a stand-by, and a given-up request that can only fail. */
inline revise() {
    for (i : 0 .. HOSTS - 1) {
        ref[i] = 0; seen[i] = 0; q[i].fresh = 0; late[i].fresh = 0;
        if :: !PROMPT && q[i].kind == READ && q[i].answered -> clear_request(q[i]) :: else fi;
        if :: late[i].kind != NOTHING && !PUTS(late[i], i) -> clear_request(late[i]) :: else fi
    }
    i = 0
}

inline note_take(h, who) {
    check(count_lost, COUNTS_JUDGED && key.count < emitted);
    if
    :: key.host != NOBODY && key.host != h && !key.released ->
        check(took_from_living, PROMPT && TAKES_JUDGED && !harmed[key.host] &&
            (!PAUSE || mode[key.host] == HOLDING))
    :: else
    fi;
    taker = h; taker_life = who
}

inline carry_out(r, h) {
    r.same = ref[h]; r.paused = paused;
    if
    :: r.kind != READ && (r.fresh || PUTS(r, h)) && !(r.kind == TAKE && IS_HELD(r)) ->
        check(took_paused, r.kind == TAKE && paused && !r.wanted);
        check(count_lost, COUNTS_JUDGED && CONTINUE && r.count < emitted);
        check(undone, CONTINUE && r.epoch < key.epoch);
        if :: r.kind == TAKE -> note_take(h, r.life) :: else fi;
        key.host = h; key.life = r.life; key.epoch = r.epoch; key.count = r.count;
        key.released = (r.kind == RELEASE); key.to = r.to;
        r.ok = 1
    :: else
    fi
}

inline answer(h) {
    carry_out(q[h], h);
    if
    :: q[h].ok -> revise()
    :: else ->
        q[h].own = IS_OWN(h); q[h].epoch = key.epoch; q[h].count = key.count;
        q[h].half = (CONTINUE && key.host == h && !key.released)
    fi;
    q[h].fresh = 1; q[h].answered = 1
}

#define REACHES(h) (up && !cut[h])
#define WAITS(h) (q[h].kind != NOTHING && q[h].kind != LOST && !q[h].answered)

proctype Etcd(byte h) {
end_etcd:
    do
    :: d_step { REACHES(h) && WAITS(h) -> answer(h) }
    /* the answer is lost, or the request */
    :: d_step { PROMPT && !REACHES(h) && WAITS(h) ->
        answer(h); clear_request(q[h]); q[h].kind = LOST }
    :: d_step { PROMPT && !REACHES(h) && WAITS(h) -> clear_request(q[h]); q[h].kind = LOST }
    :: d_step { late[h].kind != NOTHING ->
        carry_out(late[h], h);
        if :: late[h].ok -> revise() :: else fi;
        clear_request(late[h]) }
    od
}

/* ---- the receiver ---- */

inline deliver(f, h, is_here) {
    if
    :: LISTENS_TO(f, h) ->
        check(printed_twice, f.count <= printed);
        check(printed_gap, f.count > printed + 1);
        printed = f.count;
        if :: is_here -> acked[h] = f.count :: else fi
    :: else -> if :: is_here -> joined[h] = 0 :: else fi
    fi;
    f.count = 0; f.epoch = 0; f.life = 0
}

proctype Connection(byte h) {
end_connection:
    do
    :: d_step { flight[h].count > 0 -> deliver(flight[h], h, 1) }
    :: d_step { left[h].count > 0 -> deliver(left[h], h, 0) }
    od
}

/* ---- a host ---- */

#define LIVES(h)      (mode[h] != DEAD && !stopped[h])
#define MAY_ASK(h)    (LIVES(h) && q[h].kind == NOTHING && (!PROMPT || asked[h] >= PERIOD(h)))
#define PERIOD(h)     (mode[h] == STANDING_BY -> QUARTER / 2 : SLOW(QUARTER / 2))
#define CAN_READ(h)   (MAY_ASK(h) && (mode[h] == STANDING_BY || blind[h]))
#define CAN_WRITE(h)  (MAY_ASK(h) && mode[h] == HOLDING && !blind[h] && MAY_WRITE)
#define CAN_LEAVE(h)  (MAY_ASK(h) && mode[h] == LEAVING)
#define CAN_TAKE(h)   (LIVES(h) && q[h].kind == NOTHING && mode[h] == STANDING_BY && ref[h] && \
    (PROMPT || key.epoch < TAKES) && IS_FREE(h) && (!knows[h] || IS_EXEMPT(h)))
#define IS_MOVED(h)   (key.released && key.to != NOBODY && \
    (key.to == h || (key.host == h && key.life == life_of[h])))
#define IS_WANTED(h)  (IS_MOVED(h) || \
    (start_of[h] == PERSON && (key.host == h || key.host == NOBODY)))
#define IS_FREE(h)    (key.host == NOBODY || key.released || key.host == h || MAY_FIGHT(h) || \
    (seen[h] >= LEASE && HAS_ANSWERED(h)))
#define CAN_HEAR(h)   (LIVES(h) && q[h].answered)
#define TIMES_OUT(h)  (LIVES(h) && q[h].kind != NOTHING && (!PROMPT || \
    (!q[h].answered && asked[h] >= TIMEOUT(h))))
#define CAN_JOIN(h)   (LIVES(h) && mode[h] == HOLDING && !joined[h] && ADMITS(h))
#define CAN_EMIT(h)   (LIVES(h) && MAY_COUNT(h) && joined[h] && flight[h].count == 0 && \
    acked[h] < SENDABLE(h) && (lived[h] < DEADLINE || pass[h] || out[h]))
#define IS_REFUSED(h) (CONTINUE && LIVES(h) && mode[h] == HOLDING && !joined[h] && !ADMITS(h))
#define IS_OUSTED(h)  (IS_REFUSED(h) && out[h] && !MAY_RAISE(h))
#define CAN_RAISE(h)  (IS_REFUSED(h) && !out[h] && MAY_ASK(h) && r_epoch < RAISED && \
    lived[h] < DEADLINE)
#define HAS_NEWER(h)  (CONTINUE && (disk_epoch[h] > key.epoch || \
    (disk_epoch[h] == key.epoch && disk_count[h] > key.count)))
#define IS_LATE(h)    (REACHES(h) && WAITS(h) && asked[h] >= LATENCY)
#define IS_DUE(h)     (CAN_READ(h) || CAN_WRITE(h) || CAN_LEAVE(h) || CAN_TAKE(h) || \
    CAN_HEAR(h) || TIMES_OUT(h) || CAN_JOIN(h) || CAN_EMIT(h) || IS_LATE(h) || \
    IS_OUSTED(h) || CAN_RAISE(h) || flight[h].count > 0)

inline ask(h, what, new_epoch, new_count, compares) {
    q[h].kind = what; q[h].life = life_of[h]; q[h].epoch = new_epoch; q[h].count = new_count;
    q[h].fresh = compares; q[h].half = (what == TAKE && key.host == h);
    q[h].to = NOBODY;
    if
    :: PAUSE && what == TAKE -> q[h].exempt = IS_EXEMPT(h); q[h].wanted = IS_WANTED(h)
    :: PAUSE && what == RELEASE -> q[h].to = leaves_to[h]
    :: else
    fi;
    asked[h] = 0
}

inline stand_by(h) {
    mode[h] = STANDING_BY; epoch_of[h] = 0; count[h] = 0; durable[h] = 0; acked[h] = 0;
    joined[h] = 0; lived[h] = DEADLINE; pass[h] = 0; out[h] = 0; blind[h] = 0; ousted[h] = 0;
    if
    :: flight[h].count > 0 ->
        left[h].count = flight[h].count; left[h].epoch = flight[h].epoch;
        left[h].life = flight[h].life;
        flight[h].count = 0; flight[h].epoch = 0; flight[h].life = 0
    :: else
    fi
}

/* ---- without etcd ---- */

inline keep(h, last) {
    disk_epoch[h] = epoch_of[h]; disk_count[h] = last
}

inline let_go(h) {
    if :: CONTINUE -> told[h] = 1; disk_had[h] = (KNOWS_LOSS -> 0 : disk_had[h]) :: else fi
}

inline hold(h) {
    mode[h] = HOLDING; epoch_of[h] = q[h].epoch; count[h] = q[h].count; durable[h] = q[h].count;
    seen[h] = 0; answering[h] = 0; streak[h] = 0; had[h] = REMEMBERS;
    if :: CONTINUE -> keep(h, q[h].count); disk_had[h] = 1; told[h] = 0 :: else fi;
    start_of[h] = (PAUSE -> SPENT : start_of[h])
}

inline go_alone(h) {
    check(usurped, told[h]);
    check(took_paused, paused && start_of[h] != PERSON && (noted[h] || UNTOLD_JUDGED));
    start_of[h] = (PAUSE -> SPENT : start_of[h]);
    mode[h] = HOLDING; out[h] = 1; blind[h] = 1; ref[h] = 0;
    epoch_of[h] = disk_epoch[h] + 1; count[h] = disk_count[h]; durable[h] = count[h];
    keep(h, count[h])
}

/* In HOLDING; or in STANDING_BY, if this host had the key when its last process ended. */
inline go_out(h) {
    if
    :: mode[h] == HOLDING && !out[h] ->
        epoch_of[h] = (q[h].kind == WRITE && RAISE_STAYS -> q[h].epoch : epoch_of[h]);
        out[h] = 1; durable[h] = count[h]; keep(h, count[h])
    :: mode[h] == STANDING_BY && disk_had[h] && MAY_GO_ALONE(h) -> go_alone(h)
    :: else
    fi
}

inline take_one_more(h) {
    count[h]++;
    if :: out[h] -> durable[h] = count[h]; keep(h, count[h]) :: else fi
}

/* The first write of who went on alone takes the key from the process before it. */
inline rewrite(h) {
    ask(h, WRITE, epoch_of[h], count[h], ref[h]);
    if
    :: out[h] && key.host == h && key.life != life_of[h] ->
        q[h].kind = TAKE; q[h].exempt = PAUSE; q[h].wanted = PAUSE
    :: else
    fi
}

/* Who goes on alone looks whether the key is still that of its host. */
inline look_again(h) {
    blind[h] = 0;
    if
    :: q[h].half && q[h].epoch < epoch_of[h] -> skip
    :: else -> let_go(h); stand_by(h)
    fi
}

inline come_back(h) {
    if :: out[h] && SENDS_ALL -> skip :: else -> durable[h] = q[h].count fi;
    out[h] = 0; ousted[h] = 0; epoch_of[h] = q[h].epoch;
    if
    :: KEEPS && disk_count[h] < q[h].count -> keep(h, q[h].count)
    :: KEEPS -> disk_epoch[h] = epoch_of[h]
    :: else
    fi
}

inline see(h) {
    seen[h] = (SAME(h) -> seen[h] : SEEN_AGE(h));
    if :: !answering[h] && PROMPT -> answering[h] = 1; streak[h] = STREAK_AGE(h) :: else fi
}

/* A write of our own that had landed says the revision, and moves no deadline: a stand-by may have
 * seen it for long. The deadline is that of a renewal which was answered as one. */
inline hear(h) {
    ref[h] = q[h].fresh;
    if
    :: PAUSE && mode[h] == STANDING_BY -> knows[h] = (q[h].ok -> 0 : SEES_PAUSE(h))
    :: else
    fi;
    if :: q[h].ok && asked[h] <= LATENCY && !cut[h] -> harmed[h] = 0 :: else fi;
    pass[h] = (PASSES && q[h].ok && mode[h] == HOLDING);
    if
    :: q[h].kind == READ && mode[h] == HOLDING -> look_again(h)
    :: q[h].ok && mode[h] == STANDING_BY -> hold(h); lived[h] = RENEWED_AGE(h)
    :: q[h].ok && q[h].kind == RELEASE -> stand_by(h); see(h)
    :: q[h].ok && mode[h] != STANDING_BY && q[h].kind != RELEASE ->
        lived[h] = RENEWED_AGE(h); come_back(h)
    :: !q[h].ok && mode[h] == STANDING_BY -> if :: q[h].half -> skip :: else -> let_go(h) fi; see(h)
    :: !q[h].ok && mode[h] != STANDING_BY && KNOWS_OWN(h) ->
        if :: !out[h] -> lived[h] = SHOWN_AGE(h); come_back(h) :: else fi;
        asked[h] = DEADLINE
    :: else ->
        check(gave_up, mode[h] == HOLDING && key.host == h && taker_life == life_of[h]);
        let_go(h); stand_by(h); see(h)
    fi;
    clear_request(q[h]);
    if :: !PROMPT -> asked[h] = 0 :: else fi
}

inline drop_request(h) {
    clear_request(q[h]); answering[h] = 0; streak[h] = 0; asked[h] = (PROMPT -> DEADLINE : 0)
}

#define MAY_LINGER(h) (WAITS(h) && q[h].kind != READ && late[h].kind == NOTHING && \
    (q[h].fresh || PUTS(q[h], h)))

inline linger(h) {
    late[h].kind = q[h].kind; late[h].life = q[h].life; late[h].epoch = q[h].epoch;
    late[h].count = q[h].count; late[h].fresh = q[h].fresh; late[h].half = q[h].half;
    late[h].exempt = q[h].exempt; late[h].wanted = q[h].wanted; late[h].to = q[h].to
}

inline join(h) {
    if /* a new connection of the same run */
    :: left[h].count > 0 && LISTENS_TO(left[h], h) &&
        r_epoch == epoch_of[h] && r_life == life_of[h] ->
        left[h].count = 0; left[h].epoch = 0; left[h].life = 0
    :: else
    fi;
    check(fights, out[h] && ousted[h]);
    if
    :: CONTINUE ->
        for (i : 0 .. HOSTS - 1) {
            ousted[i] = (out[i] && (ousted[i] || (i != h && epoch_of[i] <= epoch_of[h])))
        }
        i = 0
    :: else
    fi;
    r_epoch = epoch_of[h]; r_host = h; r_life = life_of[h];
    joined[h] = 1; acked[h] = RESUMED(h);
    count[h] = (count[h] < acked[h] -> acked[h] : count[h]);
    if :: out[h] -> durable[h] = count[h]; keep(h, count[h]) :: else fi
}

#define IS_JUDGED(h, even_out) (!out[h] || even_out)

inline emit(h) {
    check(two_hold, IS_JUDGED(h, OUT_HOLDS_JUDGED) && (taker != h || taker_life != life_of[h]));
    flight[h].count = acked[h] + 1; flight[h].epoch = epoch_of[h]; flight[h].life = life_of[h];
    pass[h] = 0;
    emitted = (IS_JUDGED(h, OUT_COUNTS_JUDGED) && emitted < flight[h].count ->
        flight[h].count : emitted)
}

inline restart(h, by) {
    start_of[h] = (PAUSE -> by : start_of[h]); knows[h] = 0;
    stand_by(h); drop_request(h);
    life_of[h] = (life_of[h] + 1) % 4; ref[h] = 0; seen[h] = 0; had[h] = 0
}

proctype Host(byte h) {
end_host:
    do
    :: d_step { CAN_READ(h) ->
        if :: PROMPT && blind[h] && count[h] < N -> take_one_more(h) :: else fi;
        ask(h, READ, 0, 0, 0); if :: READ_AT_ONCE -> answer(h) :: else fi }
    :: d_step { CAN_TAKE(h) && !HAS_NEWER(h) -> ask(h, TAKE, key.epoch + 1, key.count, 1) }
    :: d_step { CAN_TAKE(h) && HAS_NEWER(h) ->
        ask(h, TAKE, disk_epoch[h] + 1, disk_count[h], 1) }
    :: d_step { CAN_WRITE(h) && (!PROMPT || count[h] == N) ->
        rewrite(h) }
    :: d_step { CAN_WRITE(h) && count[h] < N -> take_one_more(h); rewrite(h) }
    :: d_step { CAN_LEAVE(h) -> let_go(h); ask(h, RELEASE, epoch_of[h], count[h], ref[h]) }
    :: d_step { CAN_HEAR(h) -> hear(h) }
    :: d_step { TIMES_OUT(h) -> if :: CONTINUE -> go_out(h) :: else fi; drop_request(h) }
    :: d_step { TIMES_OUT(h) && MAY_LINGER(h) ->
        if :: CONTINUE -> go_out(h) :: else fi; linger(h); drop_request(h) }
    /* if CONTINUE=1 */
    :: d_step { CAN_READ(h) && !PROMPT && mode[h] == STANDING_BY && disk_had[h] &&
        MAY_GO_ALONE(h) -> go_alone(h) }
    :: d_step { PAUSE && CONTINUE && LIVES(h) && REACHES(h) && noted[h] != paused ->
        noted[h] = paused }
    :: d_step { LIVES(h) && out[h] && !PROMPT && q[h].kind != NOTHING && count[h] < N ->
        take_one_more(h) }
    :: d_step { CAN_RAISE(h) -> ask(h, WRITE, r_epoch + 1, count[h], ref[h]) }
    :: d_step { IS_OUSTED(h) -> let_go(h); stand_by(h); drop_request(h) }
    :: d_step { IS_OUSTED(h) && MAY_LINGER(h) ->
        linger(h); let_go(h); stand_by(h); drop_request(h) }
    :: d_step { IS_REFUSED(h) && out[h] && MAY_RAISE(h) ->
        epoch_of[h] = r_epoch + 1; keep(h, count[h]) }
    :: d_step { CAN_JOIN(h) -> join(h) }
    :: d_step { CAN_EMIT(h) -> emit(h); if :: SENT_AT_ONCE -> deliver(flight[h], h, 1) :: else fi }
    /* faults of this host */
    :: d_step { MOVE && faults > 0 && LIVES(h) && mode[h] == HOLDING && !out[h] ->
        faults--; mode[h] = LEAVING; leaves_to[h] = NOBODY }
    :: d_step { MOVE && PAUSE && faults > 0 && LIVES(h) && mode[h] == HOLDING && !out[h] ->
        faults--; mode[h] = LEAVING; leaves_to[h] = 1 - h }
    :: d_step { KILL && faults > 0 && mode[h] != DEAD -> faults--; restart(h, ITSELF) }
    :: d_step { KILL && faults > 0 && mode[h] != DEAD && MAY_LINGER(h) ->
        faults--; linger(h); restart(h, ITSELF) }
    :: d_step { START && faults > 0 && mode[h] != DEAD -> faults--; restart(h, PERSON) }
    :: d_step { START && faults > 0 && mode[h] != DEAD && MAY_LINGER(h) ->
        faults--; linger(h); restart(h, PERSON) }
    :: d_step { LOSE && faults > 0 && DEAD_HOSTS < HOSTS - 1 && mode[h] != DEAD ->
        faults--; restart(h, ITSELF); life_of[h] = 0; stopped[h] = 0; cut[h] = 0;
        disk_epoch[h] = 0; disk_count[h] = 0; disk_had[h] = 0; told[h] = 0;
        harmed[h] = 1; mode[h] = DEAD }
    :: d_step { STOP && faults > 0 && LIVES(h) -> faults--; harmed[h] = 1; stopped[h] = 1 }
    :: d_step { stopped[h] -> stopped[h] = 0 }
    :: d_step { CUT && faults > 0 && !cut[h] && mode[h] != DEAD ->
        faults--; harmed[h] = 1; cut[h] = 1 }
    :: d_step { cut[h] -> cut[h] = 0 }
    :: d_step { JUMP && faults > 0 && LIVES(h) -> faults--; JUMPS(h) }
    od
}

/* ---- time and the world ---- */

inline age(timer, most) {
    timer = (timer < most -> timer + 1 : timer)
}

inline tick() {
    for (i : 0 .. HOSTS - 1) {
        if
        :: RUNS(i) && mode[i] != DEAD ->
            if :: PROMPT || SENDING_COUNTS(i) -> age(asked[i], DEADLINE) :: else fi;
            if
            :: mode[i] == STANDING_BY && ref[i] -> age(seen[i], LEASE)
            :: mode[i] == HOLDING || mode[i] == LEAVING -> age(lived[i], DEADLINE)
            :: else
            fi;
            if :: answering[i] -> age(streak[i], QUARTER) :: else fi
        :: else
        fi
    }
    i = 0
}

#define ALL_COUNTED (printed == N)
/* The App is paused, and no host counts or may go on. */
#define GOES_ON(h)  (mode[h] == HOLDING || (mode[h] != DEAD && IS_WANTED(h)))
#define MAY_BE_HELD (paused && !ANY(GOES_ON))
/* Ticks of an outage in which a holder that may count on without etcd has counted all. */
#define SILENT      (2 * QUARTER + (N - 1) * SLOW(QUARTER))

active proctype Time() {
end_time:
    do
    :: d_step { !PROMPT -> tick() }
    :: d_step { PROMPT && !ANY(IS_DUE) && !(calm && ALL_COUNTED) ->
        tick();
        if
        :: calm && !MAY_BE_HELD -> calm_for++; check(stuck, calm_for > SETTLED)
        :: CONTINUE && !up && faults == 0 && !ALL_COUNTED && taker != NOBODY && !harmed[taker] ->
            silent_for++; check(stuck, silent_for > SILENT)
        :: else
        fi }
    :: d_step { OUTAGE && faults > 0 && up -> faults--; up = 0 }
    :: d_step { !up -> up = 1 }
    :: d_step { DELETE && faults > 0 && key.host != NOBODY ->
        faults--; key.host = NOBODY; key.life = 0; key.epoch = 0; key.count = 0; key.released = 0;
        revise() }
    :: d_step { PAUSE && !PROMPT -> paused = !paused }
    :: d_step { PAUSE && PROMPT && !calm && changes > 0 -> changes--; paused = !paused }
    :: d_step { PROMPT && !calm && up && !ANY(IS_AWAY) -> calm = 1; faults = 0 }
    od
}

active proctype Judge() {
    atomic { timeout -> check(stuck, PROMPT && !ALL_COUNTED) }
}

init {
    d_step {
        for (i : 0 .. HOSTS - 1) {
            mode[i] = STANDING_BY; q[i].kind = NOTHING; late[i].kind = NOTHING;
            lived[i] = DEADLINE; asked[i] = (PROMPT -> DEADLINE : 0);
            start_of[i] = (PAUSE -> PERSON : ITSELF)
        }
        i = 0;
        if
        :: ABSENT -> key.host = NOBODY
        :: else -> /* as after a take that has just been answered */
            key.epoch = 1; key.to = NOBODY; start_of[0] = (PAUSE -> SPENT : ITSELF); ref[0] = 1;
            mode[0] = HOLDING; epoch_of[0] = 1; lived[0] = 0;
            taker = 0; had[0] = REMEMBERS;
            if :: CONTINUE -> disk_epoch[0] = 1; disk_had[0] = 1 :: else fi
        fi
    };
    atomic {
        run Etcd(0); run Host(0); run Connection(0);
        run Etcd(1); run Host(1); run Connection(1);
#if HOSTS > 2
        run Etcd(2); run Host(2); run Connection(2);
#endif
    }
}
