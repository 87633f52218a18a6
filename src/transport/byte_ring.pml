/* The sleep and wake protocol of a pipe's direction (byte_ring.hpp, channel/pipe_end.cpp): one sender, one receiver, a ring
 * with room for `ROOM` messages, a word at which the receiver sleeps and one at which the sender does.
 *
 * Each side publishes by a store (the header; the head) that stays in its store buffer until the hardware writes it
 * back or the other side's membarrier flushes it, and then looks whether the other one sleeps. With KILLS either side
 * may be killed at any step; the other one learns it from the socket, at which a sleeper looks by himself when nobody
 * wakes him.
 *
 * Checked: nobody waits for ever (no invalid end state), and messages are received in order, each once.
 *
 * variants: KILLS ONE_FITS
 * must fail: BROKEN_no_order_of_data ONE_FITS+BROKEN_no_order_of_space BROKEN_no_last_look KILLS+BROKEN_quiet_death */
#define MESSAGES 4
#ifdef ONE_FITS
#define ROOM 1
#else
#define ROOM 2
#endif

byte sent, received;            /* as the other side sees them */
bool sent_buffered, received_buffered;
byte data, space;               /* WakeWords: bit 0 and a sequence modulo 128 */
bool receiver_asleep, sender_asleep;
bool sender_gone, receiver_gone;

/* notify(word, 1): the look at the word, and the wake-up with its own read-modify-write. */
inline notify(word, sleeper) {
    if
    :: word & 1 ->
        atomic { word = (word + 2) & 254; sleeper = false }
    :: else
    fi
}

#ifdef BROKEN_no_order_of_data
#define order_data false
#else
#define order_data true
#endif
#ifdef BROKEN_no_order_of_space
#define order_space false
#else
#define order_space true
#endif

/* Announces, looks a last time, sleeps until woken or, for a look at the socket, when nothing else moves. */
inline sleep(word, ready, of_sender, asleep, other_gone) {
    d_step { word = word | 1; seen = word };
    d_step {                            /* the membarrier */
        if
        :: of_sender && order_space && received_buffered -> received_buffered = false; received++
        :: !of_sender && order_data && sent_buffered -> sent_buffered = false; sent++
        :: else
        fi
    };
    if
#ifndef BROKEN_no_last_look
    :: ready
#endif
    :: else ->
        atomic { if :: word == seen -> asleep = true :: else fi };
        if
        :: !asleep
#ifndef BROKEN_quiet_death
        :: timeout && other_gone -> asleep = false
#endif
        fi
    fi;
    seen = 0
}

#ifdef KILLS
#define may_be_killed if :: true -> goto dead :: true fi
#else
#define may_be_killed skip
#endif

active proctype hardware() {
end:
    do
    :: d_step { sent_buffered -> sent_buffered = false; sent++ }
    :: d_step { received_buffered -> received_buffered = false; received++ }
    od
}

active proctype sender() {
    byte seen, mine;
    do
    :: mine == MESSAGES -> break
    :: else ->
        do
        :: mine - received < ROOM -> break
        :: else ->
            if :: receiver_gone -> goto dead :: else fi;
            may_be_killed;
            sleep(space, (mine - received < ROOM), true, sender_asleep, receiver_gone)
        od;
        !sent_buffered;                 /* a store buffer is in order */
        sent_buffered = true;
        mine++;
        may_be_killed;
        notify(data, receiver_asleep);
        may_be_killed
    od;
    goto over;
dead:
    sender_gone = true;
over:
    skip
}

active proctype receiver() {
    byte seen, mine;
    do
    :: mine == MESSAGES -> break
    :: else ->
        do
        :: mine < sent -> break
        :: else ->
            /* What was sent before the end is still received. */
            if :: sender_gone && !sent_buffered && mine == sent -> goto dead :: else fi;
            may_be_killed;
            sleep(data, (mine < sent), false, receiver_asleep, sender_gone)
        od;
        !received_buffered;
        received_buffered = true;
        mine++;
        assert(mine <= sent && sent - received <= ROOM);
        may_be_killed;
        notify(space, sender_asleep);
        may_be_killed
    od;
    goto over;
dead:
    receiver_gone = true;
over:
    skip
}
