// Poison pills: workers take tasks from one queue until each of them has taken the sign to stop.
#include <multiprocessing/multiprocessing.hpp>

#include <cstdio>
#include <optional>
#include <vector>

using Task = std::optional<int>;  // nothing: stop

void work(mp::Queue<Task> tasks, mp::Queue<int> results) {
    while (const Task task = tasks.get()) results.put(*task * *task);
}

int main() {
    const int workers = 3, count = 20;
    mp::Queue<Task> tasks;
    mp::Queue<int> results;
    std::vector<mp::Process> processes;
    for (int i = 0; i < workers; ++i) processes.emplace_back(work, tasks, results);
    for (auto& process : processes) process.start();

    for (int i = 1; i <= count; ++i) tasks.put(i);
    for (int i = 0; i < workers; ++i) tasks.put(std::nullopt);
    int sum = 0;
    for (int i = 0; i < count; ++i) sum += results.get();
    for (auto& process : processes) process.join();
    std::printf("sum of the squares up to %d: %d\n", count, sum);
}
