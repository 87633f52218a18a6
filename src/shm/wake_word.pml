/* The sleep and wake protocol of shm/wait.hpp: WakeWord, notify() and wait_until(), for `ITEMS` notifiers who each
 * publish one piece of work and wake one sleeper, and as many sleepers who each take one. One sleeper may be killed.
 *
 * A notifier's store of data stays in its CPU's store buffer until the hardware writes it back, the notifier does a
 * read-modify-write, or a sleeper's membarrier flushes everybody's: so its look at the word may come before its data is
 * seen. Nobody here wakes up by himself, unless nothing else can happen and a killed sleeper may have swallowed a
 * wake-up: then sleepers look again, as they do every recheck_interval. Without KILLS this shows that nobody needs to,
 * as Sleep::soundly has it.
 *
 * Checked: whenever nothing moves any more, no work is left.
 *
 * variants: KILLS
 * must fail: BROKEN_no_membarrier BROKEN_clear_without_wake KILLS+BROKEN_no_recheck */
#define ITEMS 2
#define SLEEPERS 2

byte word;                  /* bit 0: somebody may be asleep; the rest: sequence, here modulo 128 */
byte work;                  /* visible to all */
bool buffered[ITEMS];       /* a notifier's data that has not left its store buffer */
bool asleep[SLEEPERS];      /* in futex_wait */
byte taken;                 /* with KILLS: by whom does not matter */
bool killed;                /* somebody was: what he swallowed is lost */

inline flush(i) { d_step { if :: buffered[i] -> buffered[i] = false; work++ :: else fi } }

inline membarrier() {
#ifndef BROKEN_no_membarrier
    d_step { flush_one(0); flush_one(1) }
#else
    skip
#endif
}
inline flush_one(i) { if :: buffered[i] -> buffered[i] = false; work++ :: else fi }

/* compare_exchange on `word`: `ok`, and the value seen in `seen`. A locked instruction drains the own store buffer. */
inline exchange(own, wanted) {
    d_step {
        if :: own < ITEMS -> flush_one(own) :: else fi;
        if
        :: word == seen -> word = wanted; ok = true
        :: else -> seen = word; ok = false
        fi
    }
}

/* wake(word, 1) of wait.cpp. */
inline wake_one(own) {
    seen = word;
    ok = false;
    do
    :: ok || !(seen & 1) -> break
    :: else -> exchange(own, seen + 2)
    od;
    if
    :: ok ->
        after = seen + 2;
        woken = false;
        atomic {
            if
            :: asleep[0] -> asleep[0] = false; woken = true
            :: asleep[1] -> asleep[1] = false; woken = true
            :: !asleep[0] && !asleep[1]
            fi
        };
        if
        :: !woken ->
            seen = after;
            exchange(own, (after + 2) & 254);
#ifndef BROKEN_clear_without_wake
            /* Who fell asleep between the two has lost the bit that speaks for him. */
            if :: ok -> d_step { asleep[0] = false; asleep[1] = false } :: else fi
#endif
        :: else
        fi
    :: else
    fi;
    d_step { seen = 0; after = 0; ok = false; woken = false }
}

proctype hardware(byte own) {
    end: do :: buffered[own] -> flush(own) od
}

proctype notifier(byte own) {
    byte seen, after;
    bool ok, woken;
    buffered[own] = true;                 /* data.store(release) */
    if :: word & 1 -> wake_one(own) :: else fi
}

proctype sleeper(byte own) {
    byte seen, after;
    bool ok, woken;
again:
    do
    :: atomic { work > 0 -> work--; break }
    :: work == 0 ->
        /* Announce, order, look a last time, sleep. */
        seen = word;
        ok = false;
        do
        :: ok || (seen & 1) -> break
        :: else -> exchange(ITEMS, seen | 1)
        od;
        seen = seen | 1;
        membarrier();
        if
        :: work > 0 -> d_step { seen = 0; ok = false }
        :: else ->
            atomic { if :: word == seen -> asleep[own] = true :: else fi; seen = 0; ok = false };
end_asleep:
            if
            :: !asleep[own]
#ifndef BROKEN_no_recheck
            :: timeout && killed && work > 0 -> asleep[own] = false
#endif
            fi;
#ifdef KILLS
            if
            :: own == 0 -> atomic { killed = true; goto dead }
            :: true
            fi
#endif
        fi
    od;
    /* Who leaves work behind wakes the next. */
    if :: work > 0 && (word & 1) -> wake_one(ITEMS) :: else fi;
#ifdef KILLS
    taken++;
    /* The one that cannot be killed works for both. */
    if :: own == 1 && taken < ITEMS -> goto again :: else fi;
#endif
dead:
    skip
}

/* Nothing moves any more: then there must be no work left, or somebody who looks again by himself. */
proctype monitor() {
#ifdef BROKEN_no_recheck
    end: timeout && work > 0 -> assert(false)
#else
    end: timeout && work > 0 && !killed -> assert(false)
#endif
}

init {
    atomic {
        run monitor();
        run hardware(0); run hardware(1);
        run notifier(0); run notifier(1);
        run sleeper(0); run sleeper(1)
    }
}
