// Calls that a pool refuses; each case is one, and tests/pool/area.cmake has the sentence for it.
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <multiprocessing/pool.hpp>

int square(int x);
int add(int a, int b);
int text_length(std::string_view text);
void increment(int& x);

struct Named {
    std::string name;
    int number;
};

struct Owner {
    int factor = 2;
    void run(mp::Pool& pool) {
#ifdef CASE_captures_this
        pool.map([this](int x) { return factor * x; }, mp::range(3));
#else
        static_cast<void>(pool);
#endif
    }
};

void call(mp::Pool& pool) {
    [[maybe_unused]] int number = 1;
    [[maybe_unused]] std::string text = "text";
#if defined(CASE_fine)
    pool.map(square, mp::range(3));
    pool.starmap(add, std::vector{std::pair(1, 2)});
    pool.map(square, {1, 2, 3}, {.chunk_size = 1});
    pool.submit([number](int x) { return number * x; }, 3);
    pool.map(mp::bind([](const std::string& bound, int x) { return bound.size() + x; }, text), mp::range(3));
#elif defined(CASE_wrong_element)
    pool.map(square, std::vector<std::string>{"a"});
#elif defined(CASE_map_of_pairs)
    pool.map(add, std::vector{std::pair(1, 2)});
#elif defined(CASE_starmap_mismatch)
    pool.starmap(add, std::vector{std::tuple(1, 2, 3)});
#elif defined(CASE_captures_reference)
    pool.map([&number](int x) { return number * x; }, mp::range(3));
#elif defined(CASE_captures_pointer)
    pool.map([pointer = &number](int x) { return *pointer * x; }, mp::range(3));
#elif defined(CASE_captures_string)
    pool.map([text](int x) { return text.size() + x; }, mp::range(3));
#elif defined(CASE_submit_captures_string)
    pool.submit([text] { return text.size(); });
#elif defined(CASE_std_function)
    pool.map(std::function<int(int)>(square), mp::range(3));
#elif defined(CASE_view_argument)
    pool.submit(text_length, std::string_view("text"));
#elif defined(CASE_pointer_argument)
    pool.submit([](int* p) { return *p; }, &number);
#elif defined(CASE_pointer_element)
    pool.map([](int* p) { return *p; }, std::vector<int*>{&number});
#elif defined(CASE_pointer_result)
    pool.map([](int) -> int* { return nullptr; }, mp::range(3));
#elif defined(CASE_wrong_arguments)
    pool.submit(add, 1);
#elif defined(CASE_apply_wrong_argument)
    pool.apply(square, "text");
#elif defined(CASE_changes_argument)
    pool.apply(increment, number);
#elif defined(CASE_changes_element)
    pool.map(increment, std::vector{1, 2});
#elif defined(CASE_starmap_of_numbers)
    pool.starmap(add, std::vector{1, 2});
#elif defined(CASE_starmap_aggregate_mismatch)
    pool.starmap(add, std::vector{Named{"a", 1}});
#elif defined(CASE_mutex_argument)
    std::mutex mutex;
    pool.submit([](std::mutex&) {}, mutex);
#elif defined(CASE_atomic_argument)
    std::atomic<int> atomic;
    pool.apply([](std::atomic<int>&) {}, std::ref(atomic));
#elif defined(CASE_reduce_mismatch)
    pool.reduce(square, [](std::string a, int) { return a; }, std::string(), mp::range(3));
#elif defined(CASE_reduce_operation)
    pool.reduce(square, [](int a) { return a; }, 0, mp::range(3));
#elif defined(CASE_for_each_copies)
    pool.for_each([](int& x) { ++x; }, std::vector{1, 2});
#elif defined(CASE_for_each_mismatch)
    pool.for_each(text_length, std::vector{1, 2});
#elif defined(CASE_imap_captures_reference)
    pool.imap([&number](int x) { return number * x; }, mp::range(3));
#elif defined(CASE_imap_wrong_element)
    pool.imap(square, std::vector<std::string>{"a"});
#endif
    Owner().run(pool);
}
