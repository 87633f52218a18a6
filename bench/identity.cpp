// What it costs to name a function for a worker and to find it there.
#include <benchmark/benchmark.h>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/function.hpp>

namespace {

struct BenchKind {
    using Signature = int(int);
    static constexpr std::string_view name = "bench";
};
int twice(int x) { return 2 * x; }
constexpr const auto& record = mp::detail::entry_record<BenchKind, &twice>;

void identify(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(mp::detail::identify(record));
}
BENCHMARK(identify);

void resolve(benchmark::State& state) {
    const auto id = mp::detail::identify(record);
    for (auto _ : state) benchmark::DoNotOptimize(&mp::detail::resolve<BenchKind>(id));
}
BENCHMARK(resolve);

void encode_function_pointer(benchmark::State& state) {
    for (auto _ : state) {
        alignas(16) std::byte scratch[256];
        mp::serial::Writer writer(scratch);
        mp::serial::encode(writer, &twice);
        benchmark::DoNotOptimize(writer.bytes().data());
    }
}
BENCHMARK(encode_function_pointer);

void decode_function_pointer(benchmark::State& state) {
    mp::serial::Writer writer;
    mp::serial::encode(writer, &twice);
    for (auto _ : state) {
        mp::serial::Reader reader(writer.bytes());
        benchmark::DoNotOptimize(mp::serial::decode<int (*)(int)>(reader));
    }
}
BENCHMARK(decode_function_pointer);

}  // namespace

BENCHMARK_MAIN();
