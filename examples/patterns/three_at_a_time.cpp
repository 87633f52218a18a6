// A semaphore lets three of ten processes at a time into a place; a shared counter shows that it was never more.
#include <multiprocessing/multiprocessing.hpp>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

struct Room {
    int inside = 0, most = 0, visits = 0;
};

void visit(mp::Semaphore door, mp::Value<Room> room) {
    const std::scoped_lock admitted(door);
    {
        auto now = room.lock();
        now->inside += 1;
        now->visits += 1;
        if (now->inside > now->most) now->most = now->inside;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the work
    auto now = room.lock();
    now->inside -= 1;
}

int main() {
    mp::Semaphore door(3);
    mp::Value<Room> room(Room{});
    {
        std::vector<mp::Process> visitors;
        for (int i = 0; i < 10; ++i) visitors.emplace_back(visit, door, room);
        for (auto& visitor : visitors) visitor.start();
    }
    const Room seen = room.load();
    std::printf("%d visits, never more than three at a time: %s\n", seen.visits, seen.most <= 3 ? "true" : "false");
}
