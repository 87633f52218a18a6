// Targets that a Process refuses; each case is one, and tests/process/area.cmake has the sentence for it.
#include <mutex>
#include <string>

#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>

void add(int a, int b);
void increment(int& x);
void guarded(std::mutex& mutex, int x);

int main() {
    [[maybe_unused]] int number = 1;
    [[maybe_unused]] std::mutex mutex;
#if defined(CASE_fine)
    mp::Process process({.name = "sum"}, add, 1, 2);
    mp::Process closure([&] { ++number; });
    mp::Queue<std::string> queue;
    auto ends = mp::Pipe<void, int>();
#elif defined(CASE_too_few_arguments)
    mp::Process process(add, 1);
#elif defined(CASE_wrong_argument)
    mp::Process process({.name = "sum"}, add, 1, "text");
#elif defined(CASE_name_first)
    mp::Process process("sum", add, 1, 2);
#elif defined(CASE_called_already)
    mp::Process process(std::string(), 1);
#elif defined(CASE_changes_argument)
    mp::Process process(increment, number);
#elif defined(CASE_mutex)
    mp::Process process(guarded, mutex, 1);
#elif defined(CASE_queue_of_pointers)
    mp::Queue<const char*> queue;
#elif defined(CASE_pipe_of_pointers)
    auto ends = mp::Pipe<int*>();
#endif
}
