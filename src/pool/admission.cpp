#include "pool/admission.hpp"

#include <atomic>
#include <fstream>
#include <string>

#include "os/memory.hpp"

namespace mp::pool {

namespace {

std::atomic<MemoryReading (*)()> replaced{nullptr};

// From a line `some avg10=0.12 avg60=...`.
std::optional<double> pressure() {
    std::ifstream file("/proc/pressure/memory");
    std::string some, average;
    if (!(file >> some >> average) || some != "some" || !average.starts_with("avg10=")) return std::nullopt;
    try {
        return std::stod(average.substr(6));
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

}  // namespace

MemoryReading read_memory() {
    if (const auto reader = replaced.load()) return reader();
    return {os::available_memory(), pressure()};
}

void replace_memory_reader(MemoryReading (*reader)()) { replaced = reader; }

}  // namespace mp::pool
