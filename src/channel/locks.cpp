#include <multiprocessing/synchronize.hpp>

#include <unistd.h>

#include <fstream>
#include <ostream>
#include <string>
#include <thread>

#include "channel/raise.hpp"
#include "shm/kill_point.hpp"
#include "shm/robust_lock.hpp"

namespace mp::detail {

namespace {

struct LockBlock {
    BlockHead head;
    std::uint32_t recovered;  // the present hold was taken over from the dead. Written by the holder
    std::uint32_t unused;
    alignas(64) shm::RobustLock lock;
};
static_assert(sizeof(LockBlock) == 128);

LockBlock& find(const SharedBlock& block) { return *reinterpret_cast<LockBlock*>(block.data()); }

const char* name_of(const SharedBlock& block) {
    return block.head().kind == static_cast<std::uint32_t>(BlockKind::rlock) ? "an RLock" : "a Lock";
}

/// The process a thread id belongs to; 0 when it is gone.
pid_t process_of(std::uint32_t thread) {
    std::ifstream status("/proc/" + std::to_string(thread) + "/status");
    for (std::string word; status >> word;) {
        pid_t pid = 0;
        if (word == "Tgid:" && status >> pid) return pid;
    }
    return 0;
}

}  // namespace

BasicLock::BasicLock(BlockKind kind)
    : block_(SharedBlock::create(kind, 0, sizeof(LockBlock), kind == BlockKind::rlock ? "an RLock" : "a Lock")) {
    const auto done = find(block_).lock.initialise(kind == BlockKind::rlock ? shm::RobustLock::Kind::recursive
                                                                            : shm::RobustLock::Kind::plain);
    if (!done) channel::raise(done.error(), std::string("cannot make ") + name_of(block_));
}

BasicLock::BasicLock(const serial::Handle& handle, BlockKind kind)
    : block_(SharedBlock::attach(handle, kind, sizeof(LockBlock), kind == BlockKind::rlock ? "an RLock" : "a Lock")) {}

bool BasicLock::acquire(WaitLimit limit) {
    LockBlock& block = find(block_);
    const int result = block.lock.try_raw();
    if (result == 0) [[likely]] {
        shm::kill_point();
        return true;
    }
    // A failed attempt by the owner itself is EDEADLK; without a wait that is just "taken".
    if (result == EDEADLK && limit == not_at_all) return false;
    const auto deadline = base::Deadline::after(limit);
    const auto acquired = block.lock.finish_lock(result, deadline);
    if (!acquired) {
        if (acquired.error().value() == EDEADLK && !deadline.is_never()) {
            // Ours already: it will not become free while we wait here, but the caller has set a limit to that.
            std::this_thread::sleep_until(*deadline.point());
            return false;
        }
        channel::raise(acquired.error(), std::string("cannot lock ") + name_of(block_) + " that this thread holds already");
    }
    if (*acquired == shm::Acquired::timed_out) return false;
    shm::kill_point();
    if (*acquired == shm::Acquired::recovered) block.recovered = 1;
    shm::kill_point();
    return true;
}

void BasicLock::unlock() {
    LockBlock& block = find(block_);
    if (block.recovered && block.lock.depth() <= 1 && block.lock.owner() == static_cast<std::uint32_t>(::gettid())) {
        block.recovered = 0;
    }
    shm::kill_point();
    if (const int result = block.lock.unlock_raw(); result != 0) {
        channel::raise(base::error_of(result), std::string("cannot unlock ") + name_of(block_) + ": this thread does not hold it");
    }
    shm::kill_point();
}

bool BasicLock::recovered() const noexcept { return find(block_).recovered != 0; }

bool BasicLock::locked() const noexcept { return find(block_).lock.owner() != 0; }

void BasicLock::internal_write(std::ostream& out) const {
    const LockBlock& block = find(block_);
    const bool recursive = block.head.kind == static_cast<std::uint32_t>(BlockKind::rlock);
    const std::uint32_t thread = block.lock.owner();
    out << (recursive ? "RLock(owner=" : "Lock(owner=");
    if (thread == 0) {
        out << "none";
    } else if (const pid_t process = process_of(thread); process == 0) {
        out << "a dead thread";
    } else if (process != ::getpid()) {
        out << "pid " << process << ", thread " << thread;
    } else if (thread == static_cast<std::uint32_t>(process)) {
        out << "this process";
    } else {
        out << "this process, thread " << thread;
    }
    if (recursive) out << ", depth=" << (thread == 0 ? 0 : block.lock.depth());
    out << ')';
}

}  // namespace mp::detail

namespace mp {

Lock::Lock() : BasicLock(detail::BlockKind::lock) {}
Lock::Lock(const serial::Handle& handle) : BasicLock(handle, detail::BlockKind::lock) {}
std::ostream& operator<<(std::ostream& out, const Lock& lock) { return lock.internal_write(out), out; }

RLock::RLock() : BasicLock(detail::BlockKind::rlock) {}
RLock::RLock(const serial::Handle& handle) : BasicLock(handle, detail::BlockKind::rlock) {}
std::ostream& operator<<(std::ostream& out, const RLock& lock) { return lock.internal_write(out), out; }

}  // namespace mp
