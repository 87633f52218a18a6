// The pieces of docs/guide/shared-state.md and docs/guide/synchronisation.md.
#include <multiprocessing/multiprocessing.hpp>

#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

void count(mp::Value<int> counter) {
    for (int i = 0; i < 1000; ++i) ++counter;
}

void values() {
    mp::Value<int> counter(0);
    std::vector<mp::Process> workers;
    for (int i = 0; i < 4; ++i) workers.emplace_back(count, counter);
    for (auto& worker : workers) worker.start();
    for (auto& worker : workers) worker.join();
    std::printf("%d\n", counter.load());
    {
        auto guard = counter.lock();  // for anything longer than one step
        *guard = *guard * 2 + 1;
    }
    std::printf("%d\n", counter.load());
}

void arrays() {
    mp::Array<double> samples(1'000);
    mp::Process writer([](mp::Array<double> array) { for (double& sample : array.span()) sample = 0.5; }, samples);
    writer.start();
    writer.join();
    std::printf("%.1f\n", samples.span()[999]);
}

class Till {  // a class of one's own, served as it is
  public:
    int put(int amount) { return total_ += amount; }

  private:
    int total_ = 0;
};

void sell(mp::managed::Dict<std::string, int> sold, mp::Proxy<Till> till) {
    sold.update("apples", [](int& count) { ++count; });  // one step in the manager: no update is lost
    till.call<&Till::put>(5);
}

void managers() {
    mp::Manager manager;
    auto sold = manager.dict<std::string, int>();
    auto till = manager.create<Till>();
    {
        std::vector<mp::Process> sellers;
        for (int i = 0; i < 4; ++i) sellers.emplace_back(sell, sold, till);
        for (auto& seller : sellers) seller.start();
    }  // joined
    std::printf("%d apples for %d\n", sold.at("apples"), till.call<&Till::put>(0));
}

void locks() {
    mp::Lock lock;
    mp::Event ready;
    mp::Process process([](mp::Lock its_lock, mp::Event its_event) {
        const std::scoped_lock guard(its_lock);
        its_event.set();
    }, lock, ready);
    process.start();
    ready.wait();
    process.join();
    std::printf("%s\n", lock.try_lock() ? "free" : "taken");
    lock.unlock();
}

void barriers() {
    mp::Barrier barrier(2);
    mp::Process process([](mp::Barrier both) { both.wait(); }, barrier);
    process.start();
    barrier.wait();
    process.join();
    std::puts("both were there");
}

int main() {
    values();
    arrays();
    managers();
    locks();
    barriers();
}
// Prints:
// 4000
// 8001
// 0.5
// 4 apples for 20
// free
// both were there
