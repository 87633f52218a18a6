/* Waiting and notifying by a roster (shm/roster.hpp, channel/condition.cpp): two waiters for `flag`, one of whom may be
 * killed at any step, and who sets it. That a wake-up reaches its sleeper is wake_word.pml's affair: here a waiter just
 * goes on when its place says so.
 *
 * Checked: nobody waits for ever once the flag is set (no invalid end state). The notifier tells as many as live, one
 * by one: a notification that goes to the dead is missing in the end. KILLED_NOTIFIER: the first notifier is killed at
 * any step, and another one sets the flag and tells all.
 *
 * variants: KILLED_NOTIFIER
 * must fail: BROKEN_no_burial BROKEN_late_enrolment KILLED_NOTIFIER+BROKEN_plain_lock */
#define NOBODY 255
#define WAITING 1
#define NOTIFIED 2

byte lock = NOBODY;     /* of the roster: robust, its owner's death frees it */
byte user = NOBODY;     /* the lock of those who use the condition */
bool life[2];           /* a place's lock is held: its waiter lives */
byte state[2];
byte ticket[2];
byte tickets;
bool flag, dead0, notifier_over;

#define acquire(l) atomic { l == NOBODY -> l = _pid }
#define release(l) l = NOBODY

inline die() {
    d_step {
#ifndef BROKEN_plain_lock
        if :: lock == _pid -> lock = NOBODY :: else fi;
#endif
        if :: user == _pid -> user = NOBODY :: else fi
    }
}
#define may_be_killed if :: w == 0 -> goto dead :: true fi

inline enroll() {
    acquire(lock);
    d_step { life[w] = true; tickets++; ticket[w] = tickets };
    may_be_killed;
    state[w] = WAITING;
    may_be_killed;
    release(lock)
}

proctype waiter(byte w) {
    acquire(user);
    may_be_killed;
    do
    :: flag -> break
    :: else ->
#ifdef BROKEN_late_enrolment
        release(user);
        enroll();
#else
        enroll();
        may_be_killed;
        release(user);
#endif
        if
        :: state[w] == NOTIFIED
        :: w == 0 -> goto dead
        fi;
        acquire(lock);
        may_be_killed;
        state[w] = 0;
        may_be_killed;
        life[w] = false;
        release(lock);
        acquire(user)
    od;
    release(user);
    goto over;
dead:
    skip;
    d_step { dead0 = true; life[w] = false };
    die();
over:
    skip
}

#ifdef KILLED_NOTIFIER
#define notifier_may_be_killed if :: first -> goto dead :: true fi
#else
#define notifier_may_be_killed skip
#endif

/* The place in WAITING that was entered first; 2 for none. */
inline find_oldest() {
    d_step {
        oldest = 2;
        if :: state[0] == WAITING -> oldest = 0 :: else fi;
        if :: state[1] == WAITING && (oldest == 2 || ticket[1] < ticket[0]) -> oldest = 1 :: else fi
    }
}

inline notify(count) {
    acquire(lock);
    left = count;
    do
    :: left == 0 -> break
    :: else ->
        find_oldest();
        if
        :: oldest == 2 -> break
#ifndef BROKEN_no_burial
        :: oldest < 2 && !life[oldest] -> state[oldest] = 0
        :: oldest < 2 && life[oldest] ->
#else
        :: oldest < 2 ->
#endif
            notifier_may_be_killed;
            state[oldest] = NOTIFIED;
            notifier_may_be_killed;
            left--
        fi
    od;
    release(lock)
}

proctype notifier(bool first) {
    byte left, oldest;
    if :: !first -> notifier_over :: else fi;
    acquire(user);
    flag = true;
    notifier_may_be_killed;
    if
    :: first && dead0 -> notify(1)
    :: else -> notify(2)
    fi;
    release(user);
    goto over;
dead:
    skip;
    die();
over:
    if :: first -> notifier_over = true :: else fi
}

init {
    atomic {
        run waiter(0); run waiter(1);
        run notifier(true);
#ifdef KILLED_NOTIFIER
        run notifier(false)
#endif
    }
}
