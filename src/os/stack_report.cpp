#include "os/stack_report.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <cstring>

#include "os/build_id.hpp"
#include "os/raw_stack.hpp"

namespace mp::os {
namespace {

std::uint64_t program_counter(const ucontext_t& context) {
#if defined(__x86_64__)
    return static_cast<std::uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return context.uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/// Makes the context what it was before the call of a function that does not exist: the unwinder cannot begin there.
void undo_call(ucontext_t& context) {
#if defined(__x86_64__)
    auto& registers = context.uc_mcontext.gregs;
    registers[REG_RIP] = *reinterpret_cast<const greg_t*>(registers[REG_RSP]);
    registers[REG_RSP] += 8;
#elif defined(__aarch64__)
    context.uc_mcontext.pc = context.uc_mcontext.regs[30];
#else
    (void)context;
#endif
}

/// The module around an address, without taking the loader's lock, which the dying thread may hold.
bool find_module(std::uint64_t address, dl_find_object& found) {
    return ::_dl_find_object(reinterpret_cast<void*>(address), &found) == 0;
}

void copy_path(char (&to)[224], const char* from) {
    const std::size_t length = std::strlen(from);
    const std::size_t skip = length < sizeof to ? 0 : length - (sizeof to - 1);
    std::memcpy(to, from + skip, length - skip + 1);
}

/// Index of the module in the report, entered when it is new.
std::uint32_t module_index(StackReport& report, const dl_find_object& found, char (&own_path)[224]) {
    const char* path = found.dlfo_link_map->l_name;
    if (!path || !*path) path = own_path;
    const BuildId build_id = build_id_of_image(found.dlfo_map_start);
    const auto id = build_id.bytes();
    ReportedModule next{};
    copy_path(next.path, path);
    next.build_id_size = static_cast<std::uint32_t>(std::min(id.size(), sizeof next.build_id));
    std::memcpy(next.build_id, id.data(), next.build_id_size);
    for (std::uint32_t i = 0; i < report.module_count; ++i)
        if (std::memcmp(&report.modules[i], &next, sizeof next) == 0) return i;
    if (report.module_count == StackReport::max_modules) return StackReport::no_module;
    report.modules[report.module_count] = next;
    return report.module_count++;
}

struct Walk {
    StackReport* report;
    std::uint64_t fault_pc;
    bool fault_pc_is_return_address = false;
    bool started = false;  // past the handler's own frames
    unsigned visited = 0;
    char own_path[224] = {};  // the loader does not know the program's own
};

void add_frame(Walk& walk, std::uint64_t address, bool return_address) {
    StackReport& report = *walk.report;
    const std::uint32_t count = report.frame_count.load(std::memory_order_relaxed);
    if (count == StackReport::max_frames) return;
    ReportedFrame& frame = report.frames[count];
    frame.return_address = return_address;
    dl_find_object found;
    if (find_module(address - (return_address ? 1 : 0), found)) {
        frame.module = module_index(report, found, walk.own_path);
        frame.offset = frame.module == StackReport::no_module ? address : address - found.dlfo_link_map->l_addr;
    } else {
        frame.module = StackReport::no_module;
        frame.offset = address;
    }
    report.frame_count.store(count + 1, std::memory_order_release);  // acquired by read_crash_report
}

_Unwind_Reason_Code visit(_Unwind_Context* context, void* argument) {
    auto& walk = *static_cast<Walk*>(argument);
    int before = 0;
    const auto address = static_cast<std::uint64_t>(_Unwind_GetIPInfo(context, &before));
    if (++walk.visited > 1000) return _URC_END_OF_STACK;
    const bool first = !walk.started && address == walk.fault_pc;
    if (first) walk.started = true;
    if (!walk.started || address == 0) return _URC_NO_REASON;
    add_frame(walk, address, first ? walk.fault_pc_is_return_address : before == 0);
    if (walk.report->frame_count.load(std::memory_order_relaxed) == StackReport::max_frames) return _URC_END_OF_STACK;
    return _URC_NO_REASON;
}

_Unwind_Reason_Code stop_at_once(_Unwind_Context*, void*) { return _URC_END_OF_STACK; }

}  // namespace

void prepare_stack_reports() {
    // Once for this process and its forks: the unwinder touches more pages than all the rest of a process's beginning.
    [[maybe_unused]] static const auto prepared = _Unwind_Backtrace(stop_at_once, nullptr);
}

void write_stack(StackReport& report, ucontext_t& context) {
    report.frame_count.store(0, std::memory_order_relaxed);
    report.module_count = 0;
    Walk walk{.report = &report, .fault_pc = program_counter(context)};
    const ssize_t length = ::readlink("/proc/self/exe", walk.own_path, sizeof walk.own_path - 1);
    walk.own_path[std::max<ssize_t>(length, 0)] = '\0';
    const mcontext_t registers = context.uc_mcontext;
    dl_find_object found;
    if (!find_module(walk.fault_pc, found)) {
        add_frame(walk, walk.fault_pc, false);
        undo_call(context);
        walk.fault_pc = program_counter(context);
        walk.fault_pc_is_return_address = true;
    }
    _Unwind_Backtrace(visit, &walk);
    // Code without unwinding information: its place at least.
    if (!walk.started && find_module(walk.fault_pc, found))
        add_frame(walk, walk.fault_pc, walk.fault_pc_is_return_address);
    context.uc_mcontext = registers;
}

Stack read_stack(const StackReport& report) {
    RawStack raw;
    const std::uint32_t frames = std::min(report.frame_count.load(std::memory_order_acquire), StackReport::max_frames);
    const std::uint32_t modules = std::min(report.module_count, StackReport::max_modules);
    for (std::uint32_t i = 0; i < modules; ++i) {
        const ReportedModule& from = report.modules[i];
        RawModule module;
        module.path.assign(from.path, ::strnlen(from.path, sizeof from.path));
        const std::size_t size = std::min<std::size_t>(from.build_id_size, sizeof from.build_id);
        module.build_id.assign(from.build_id, from.build_id + size);
        raw.modules.push_back(std::move(module));
    }
    for (std::uint32_t i = 0; i < frames; ++i)
        raw.frames.push_back({.module = report.frames[i].module,
                              .return_address = report.frames[i].return_address != 0,
                              .offset = report.frames[i].offset});
    return make_stack(std::move(raw));
}

}  // namespace mp::os
