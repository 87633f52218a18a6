// Tasks with something to carry: inputs and results of 8 bytes to 1 MiB, strings, structs. Beside threads, which carry
// nothing (the limit), and Python, which pickles.
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "driver/program.hpp"
#include "driver/suite.hpp"

namespace {

using bench::Better;

constexpr int workers = 2;

using Bytes = std::vector<std::uint8_t>;

struct Particle {
    double x, y, z, vx, vy, vz;
    std::int32_t kind, cell;
};

struct Record {
    std::string name;
    std::vector<double> values;
    std::int32_t number;
};

// Each reads all of its input and makes a result of the same size.
std::uint64_t turn(std::uint64_t value) { return ~value; }
Bytes turn_bytes(Bytes bytes) {
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(~byte);
    return bytes;
}
std::string turn_string(std::string text) {
    for (char& letter : text) letter ^= 1;
    return text;
}
Particle turn_particle(Particle p) {
    p.x += p.vx, p.y += p.vy, p.z += p.vz;
    return p;
}
Record turn_record(Record record) {
    ++record.number;
    record.name += '!';
    for (auto& value : record.values) value *= 2;
    return record;
}

// By map and by submit, beside threads. Figures are thousands of tasks a second.
template <class T>
void rows(bench::Suite& suite, mp::Pool& pool, const std::string& what, T (*function)(T), const std::vector<T>& inputs,
          std::size_t python_bytes = 0) {
    const auto count = static_cast<double>(inputs.size());
    auto thousands = [count](auto work) { return [=] { return count / bench::seconds(work) / 1e3; }; };
    auto expect = [&](std::size_t found) {
        if (found != inputs.size()) throw std::runtime_error("results are missing");
    };
    auto threads = [&inputs, function] {
        std::vector<T> out(inputs.size());
        tbb::parallel_for(std::size_t{0}, inputs.size(), [&](std::size_t i) { out[i] = function(inputs[i]); });
    };
    bench::Row map{.name = "map of " + what,
                   .unit = "k tasks/s",
                   .better = Better::higher,
                   .ours = {"mp::Pool::map", thousands([&, expect] { expect(pool.map(function, inputs).size()); })},
                   .peers = {{"oneTBB, nothing carried", thousands(threads)}}};
    if (python_bytes) {
        const std::size_t few = std::max<std::size_t>(20, std::min<std::size_t>(inputs.size(), 2000));
        map.peers.push_back(bench::script(
            "Python Pool.map",
            {"/usr/bin/python3", "bench/peers/tasks.py", "map", std::to_string(few), "0", std::to_string(python_bytes)},
            [few](double seconds) { return static_cast<double>(few) / seconds / 1e3; }));
    }
    suite.run(std::move(map));
    suite.run({.name = "submit of " + what,
               .unit = "k tasks/s",
               .better = Better::higher,
               .ours = {"mp::Pool::submit", thousands([&] {
                            std::vector<mp::Future<T>> futures;
                            futures.reserve(inputs.size());
                            for (const auto& input : inputs) futures.push_back(pool.submit(function, input));
                            for (auto& future : futures) future.get();
                        })},
               .peers = {{"oneTBB, nothing carried", thousands(threads)}}});
}

using Block = std::array<double, 1000>;

void change(double& value) { value = value * 0.5 + 1; }
void change_block(Block& block) {
    for (double& value : block) change(value);
}

// A vector of ten million doubles, changed where it lies: one by one, each with its own blame, and in blocks, whose
// loop the compiler makes of wide instructions as it does oneTBB's. Figures are gigabytes a second, read and written.
void in_place(bench::Suite& suite, mp::Pool& pool) {
    const std::string name = "10 million doubles in place", blocks = name + ", in blocks of 1000";
    if (!suite.wants(name) && !suite.wants(blocks)) return;
    constexpr std::size_t count = 10'000'000;
    auto rate = [](auto work) { return [=] { return 2 * 8 * count / bench::seconds(work) / 1e9; }; };
    mp::Array<double> shared(count);
    mp::Array<Block> shared_blocks(count / std::tuple_size_v<Block>);
    std::vector<double> own(count, 1);
    const bench::Side peer{"oneTBB parallel_for", rate([&] {
                               tbb::parallel_for(tbb::blocked_range<std::size_t>(0, count), [&](const auto& part) {
                                   for (std::size_t i = part.begin(); i != part.end(); ++i) change(own[i]);
                               });
                           })};
    suite.run(
        {.name = name,
         .unit = "GB/s",
         .better = Better::higher,
         .ours = {"mp::Pool::for_each", rate([&] { pool.for_each([](double& value) { change(value); }, shared); })},
         .peers = {peer}});
    suite.run({.name = blocks,
               .unit = "GB/s",
               .better = Better::higher,
               .ours = {"mp::Pool::for_each", rate([&] { pool.for_each(change_block, shared_blocks); })},
               .peers = {peer}});
}

}  // namespace

int main(int argc, char** argv) {
    bench::Suite suite("data", argc, argv);
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
    mp::Pool pool(workers);
    rows(suite, pool, "8 bytes", turn, std::vector<std::uint64_t>(100'000, 7), 8);
    rows(suite, pool, "1 KiB", turn_bytes, std::vector<Bytes>(10'000, Bytes(1024)), 1024);
    rows(suite, pool, "1 MiB", turn_bytes, std::vector<Bytes>(60, Bytes(1 << 20)), 1 << 20);
    rows(suite, pool, "strings of 100", turn_string, std::vector<std::string>(50'000, std::string(100, 'a')));
    rows(suite, pool, "structs of 56 bytes", turn_particle,
         std::vector<Particle>(100'000, Particle{1, 2, 3, 4, 5, 6, 7, 8}));
    rows(suite, pool, "structs with a string and 100 doubles", turn_record,
         std::vector<Record>(10'000,
                             Record{"a name of a record, too long for the object", std::vector<double>(100, 1.5), 3}));
    in_place(suite, pool);
    return suite.finish();
}
