/*
 * The protocol and the store, for exhaustive search by spin (https://spinroot.com).
 *
 * One App: two senders, a receiver with its ledger and outbox, the journal, the App's record and
 * its lock, and a world that breaks things: at most FAULTS times, at any step, in any order.
 * What is promised, and so what is searched for, is the list of violations below.
 * test_model.py runs it; mutations.h takes the protocol's rules away one by one.
 *
 * Each step, and the function that does it (test_model.py checks that they exist):
 *
 *   awake                         sendrecv/sender/store_file.py   StateFile._open
 *   waiting for the lock          sendrecv/sender/store_file.py   StateFile._open_locked
 *   read_record                   sendrecv/core/record.py         decode
 *   TEAR, write                   sendrecv/sender/store_file.py   StateFile.commit
 *   HOLDS                         sendrecv/sender/store_file.py   StateFile.verify
 *   the record's first write      sendrecv/core/sender.py         SenderMachine._start
 *   take a count                  sendrecv/core/sender.py         SenderMachine._take_count
 *   connect                       sendrecv/core/sender.py         SenderMachine._retry
 *   admitted                      sendrecv/core/sender.py         SenderMachine._handle_news
 *   refused                       sendrecv/core/sender.py         SenderMachine._refused
 *   resumed                       sendrecv/core/sender.py         SenderMachine._resumed
 *   OLD_COPY                      sendrecv/core/reach.py          KnownLedger.is_old
 *   adopt                         sendrecv/core/sender.py         SenderMachine._adopt
 *   emit                          sendrecv/core/sender.py         SenderMachine._emit
 *   answered                      sendrecv/core/sender.py         SenderMachine._answered
 *   connection ended              sendrecv/core/sender.py         SenderMachine._drop
 *   the mark                      sendrecv/receiver/mark.py       Mark.compare, Mark.intend, Mark.done
 *   ask, guess                    sendrecv/receiver/start.py      _find_out
 *   start                         sendrecv/receiver/start.py      open_ledger
 *   FIRST_UNPRINTED               sendrecv/core/recovery.py       unprinted
 *   REBUILD                       sendrecv/core/recovery.py       raised
 *   decide_claim                  sendrecv/core/receiver.py       ReceiverMachine._decide
 *   decide_resume                 sendrecv/core/receiver.py       ReceiverMachine._resume
 *   decide_counts                 sendrecv/core/receiver.py       ReceiverMachine._accept
 *   commit                        sendrecv/receiver/ledger.py     Ledger.commit
 *   commit fails                  sendrecv/core/receiver.py       ReceiverMachine.rolled_back
 *   print                         sendrecv/receiver/printing.py   Printer.print_group
 *   answer                        sendrecv/receiver/loop.py       Receiver._deliver
 *   prune                         sendrecv/receiver/ledger.py     Ledger._expired
 *
 * Left out, because nothing here depends on it: nodeIDs (lives are told apart instead), time,
 * batches smaller than the range, the token, the closing of a connection that was cut off (it is
 * told "fenced" when it next speaks). Counts start at 1, so that 0 can stand for "none"; a run is
 * a "life", since "run" is a word of Promela. A request and its answer never overlap on one
 * connection, so a connection holds one message. A power cut is a receiver that dies and a journal
 * that loses what was not yet on disk; senders that die with it are faults of their own.
 */

/* The bounds, and the kinds of fault, as -DNAME=1. */
#ifndef N
#define N 3 /* counts */
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
/*  KILL_SENDER     a sender dies, at any step; what it sent last is lost, or lingers and is read later
 *  KILL_RECEIVER   the receiver dies, at any step, and its connections with it
 *  CUT             a connection dies; what it carried is lost, or lingers and is read later
 *  BESIDE          a second sender is started beside one that would not die
 *  UNLINK          the record's file is deleted, or replaced by an old copy (a new inode)
 *  DAMAGE          the record is overwritten: both slots, or the newest, or by an old copy (same inode)
 *  FULL            the ledger cannot be written: a group of events fails
 *  POWER           power cut: the journal loses what it had not yet synced to disk
 *  WEDGED          the receiver is killed inside write(2), which completes later
 *  LEDGER          the receiver dies and its ledger is lost, outbox and all
 *  OLD_LEDGER      the receiver dies and its ledger is replaced by an older copy
 *                  (2: the mark is lost too, and the record on disk knows of more than that copy)
 *  NO_MARK         the receiver dies and its mark, in /run, is lost
 *  BLIND           a start that asks the journal gets no answer: it is rotated, vacuumed, elsewhere, busy
 *  AGED            no fault: also (2: only) start where two processes came and went unheard by the receiver
 */

#include "mutations.h"

#define CONNS 3
#define NOCONN CONNS
#define INODES 3
#define NOFILE INODES

mtype = { CLAIM, RESUME, COUNTS };
mtype = { ADMITTED, STALE, RESUMED, ACCEPTED, DUPLICATE, GAP, FENCED, UNAVAILABLE };
mtype = { DOWN, OPENING, RESUMING, UP };
mtype = { FREE, OPEN, LEFT, DEAD };
mtype = { GATHERING, PRINTING, ANSWERING };

typedef Slot { bool whole; byte epoch; byte count; byte acked; byte ident };
typedef Inode { bool locked; bit newest; Slot slot[2] };
typedef Conn {
    mtype state;    /* LEFT: the client is gone, its last message is not. DEAD: the server is gone */
    mtype request;
    mtype reply;
    byte stage;     /* of the reply. 1: decided, 2: durable, 0: the client can see it */
    byte epoch;
    byte life;
    byte first;
    byte last
};

/* The machine. */
Inode inode[INODES];
byte path = NOFILE;             /* the inode at the record's path */
byte opened[2] = NOFILE;        /* the inode that each sender has open */
bool alive[2];
bit turn;                       /* whom systemd starts when nobody is alive */
byte faults = FAULTS;
Conn conn[CONNS];

/* The receiver: its ledger, its memory, its output. */
byte epoch, life, last;         /* the durable row */
bool is_new;                    /* there was no ledger */
byte ident;                     /* its name, which an old copy of it has too */
byte pruned;                    /* the outbox holds the counts above this one */
byte m_epoch, m_life, m_last;    /* the row with what the group has changed */
byte current = NOCONN;          /* the connection that speaks for the App */
byte before = NOCONN;           /* the same before this group */
bool counted, m_counted;        /* or raised, since the receiver's start: the row is no old copy */
byte printed;                   /* by this process, or known to be in the journal */
mtype phase;
bool stored;                    /* the row was changed by this group */
bool up;
byte journal;                   /* the last line in it */
byte wedged;                    /* a line that a killed receiver is still writing */
byte mark, intended;            /* in /run: the last line that is out, and the one about to be */
bool mark_lost;
bool old;                       /* the ledger is older than the mark, or than the journal's last line */
byte told;                      /* the highest epoch in the journal, of a run that was admitted */
byte told_life;

/* Not in the system, only for the promises. */
byte runs;                      /* runs are numbered as they get the lock */
byte holders;                   /* senders alive that once got it */
byte emitted;                   /* the highest count that ever was sent */
byte admitted;                  /* the highest epoch that ever was told that it is admitted */
byte listened, m_listened;      /* the last run whose counts were accepted */
bool record_harmed, ledger_lost;
bool unproven;                  /* a start could not find out what was printed, and has said so */

/* VIOLATIONS. Each has one place where it is checked, except where two ways lead to it. */
bool accepted_twice;            /* a count accepted again */
bool accepted_gap;              /* a count accepted before the one below it */
bool accepted_outsider;         /* a count accepted from another run than the last admitted */
bool accepted_older_run;        /* a count accepted from an older run after a newer one's */
bool epoch_fell;                /* an epoch admitted below one admitted before */
bool printed_twice;             /* a line in the journal again */
bool printed_gap;               /* a line in the journal before the one below it */
bool two_holders;               /* two senders with the lock, and nobody touched its file */
bool ack_not_durable;           /* a sender was told a count that the ledger does not hold */
bool tick_lost;                 /* a successor counts again what its predecessor had sent */
bool raced;                     /* two senders outbid each other's epochs, without an end */
bool restless;                  /* more senders came and went than there were faults */
bool stuck;                     /* all is quiet, and not everything is counted and printed */

inline check(name, bad) {
    if
    :: (bad) -> name = 1; assert(!name)
    :: else
    fi
}

/* ---- connections ---- */

inline release(c) {
    conn[c].state = FREE; conn[c].request = 0; conn[c].reply = 0; conn[c].stage = 0;
    conn[c].epoch = 0; conn[c].life = 0; conn[c].first = 0; conn[c].last = 0;
    if :: current == c -> current = NOCONN :: else fi;
    if :: before == c -> before = NOCONN :: else fi
}

inline send(c, what, from, to) {
    conn[c].request = what; conn[c].reply = 0; conn[c].first = from; conn[c].last = to
}

#define UNREAD(c)  (conn[c].request != 0 || conn[c].stage != 0)
#define REPLIED(c) (c != NOCONN && conn[c].reply != 0 && conn[c].stage == 0)
#define ROOM       (conn[0].state == FREE || conn[1].state == FREE || conn[2].state == FREE)

#include "sender.pml"
#include "receiver.pml"

/* ---- the world ---- */

inline old_copy() {
    blank(path); inode[path].slot[0].whole = 1; inode[path].slot[0].epoch = 1
}

active proctype World() {
    bool locked;
end_world:
    do
    :: d_step { faults > 0 -> faults = 0 } /* no more faults: then counting must resume */
    :: atomic { UNLINK && faults > 0 && path != NOFILE ->
        faults--; record_harmed = 1;
        if
        :: path = NOFILE
        :: d_step { true -> new_inode_at_path(); old_copy() }
        fi }
    :: atomic { DAMAGE && faults > 0 && path != NOFILE ->
        faults--; record_harmed = 1;
        if
        :: d_step { true -> destroy(path, inode[path].newest) }
        :: d_step { true -> destroy(path, 0); destroy(path, 1) }
        :: d_step { locked = inode[path].locked; old_copy(); inode[path].locked = locked; locked = 0 }
        fi }
    :: d_step { wedged > 0 -> print(wedged); wedged = 0 }
    od
}

active proctype Judge() {
    atomic { timeout -> check(stuck, journal != N && JUDGED && !unproven) }
}

init {
    d_step {
        conn[0].state = FREE; conn[1].state = FREE; conn[2].state = FREE;
        phase = GATHERING };
    if
    :: AGED < 2
    :: d_step { AGED ->
        path = 0; inode[0].slot[0].whole = 1; inode[0].slot[0].epoch = 2;
        inode[0].slot[0].count = 2; inode[0].slot[0].acked = 1;
        epoch = 1; life = 1; last = 1; listened = 1; journal = 1;
        mark = 1; intended = 1; told = 1; told_life = 1;
        runs = 2; emitted = 1; admitted = 1 }
    fi;
    atomic { run Sender(0); run Sender(1); run Receiver() }
}
