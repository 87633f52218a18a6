// How long it takes to pack and unpack values, beside the memcpy that bounds it.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <map>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <multiprocessing/serialize.hpp>

namespace {

using namespace mp::serial;

struct Forty {
    double a = 1, b = 2;
    std::int64_t c = 3, d = 4;
    std::int32_t e = 5, f = 6;
};
static_assert(sizeof(Forty) == 40);

using Map = std::map<std::string, std::vector<double>>;

template <class T>
T sample();
template <>
Forty sample() {
    return {};
}
template <>
std::vector<double> sample() {
    return std::vector<double>(1000, 1.5);
}
template <>
std::string sample() {
    return "a string of thirty-two characters";  // as task names and paths are
}
template <>
Map sample() {
    Map map;
    for (int i = 0; i != 100; ++i) {
        map["key number " + std::to_string(i)] = std::vector<double>(8, i);
    }
    return map;
}

template <class T>
void pack(benchmark::State& state) {
    T value = sample<T>();
    Writer writer;
    for (auto step : state) {
        benchmark::DoNotOptimize(value);
        writer.clear();
        encode(writer, value);
        benchmark::DoNotOptimize(writer.bytes().data());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(writer.bytes().size()));
}

template <class T>
void unpack(benchmark::State& state) {
    Writer writer;
    encode(writer, sample<T>());
    for (auto step : state) {
        Reader reader(writer.bytes());
        T value = decode<T>(reader);
        reader.finish();
        benchmark::DoNotOptimize(value);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(writer.bytes().size()));
}

/// The floor: the same number of bytes by memcpy.
void copy_8000_bytes(benchmark::State& state) {
    std::vector<double> from(1000, 1.5);
    std::vector<double> to(1000);
    for (auto step : state) {
        benchmark::DoNotOptimize(from.data());
        std::memcpy(to.data(), from.data(), 8000);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * 8000);
}

/// The floor of unpacking a map: building it anew by a copy.
void copy_map(benchmark::State& state) {
    Map map = sample<Map>();
    for (auto step : state) {
        Map copy = map;
        benchmark::DoNotOptimize(copy);
    }
}

BENCHMARK(pack<Forty>);
BENCHMARK(unpack<Forty>);
BENCHMARK(pack<std::string>);
BENCHMARK(unpack<std::string>);
BENCHMARK(pack<std::vector<double>>);
BENCHMARK(unpack<std::vector<double>>);
BENCHMARK(copy_8000_bytes);
BENCHMARK(pack<Map>);
BENCHMARK(unpack<Map>);
BENCHMARK(copy_map);

}  // namespace

BENCHMARK_MAIN();
