#include "process/rehearsal.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <ios>

#include "os/lifeline.hpp"
#include "os/mapping.hpp"
#include "os/modules.hpp"
#include "os/retry.hpp"
#include "os/unique_fd.hpp"

namespace mp::process {

namespace {

// Of the program and each library.
struct Parts {
    const std::uintptr_t page_size;
    std::vector<const volatile char*> endings;  // the code that runs when it ends
    std::vector<char*> marks;                   // what is written then: that it has ended
    std::vector<std::span<char>> code;          // in whole pages
};

// What the loader would find in a module's dynamic section.
class Dynamic {
    using Entry = const ElfW(Dyn);

  public:
    explicit Dynamic(const dl_phdr_info& module) {
        for (const auto& header : std::span(module.dlpi_phdr, module.dlpi_phnum))
            if (header.p_type == PT_DYNAMIC) entries_ = reinterpret_cast<Entry*>(module.dlpi_addr + header.p_vaddr);
    }
    // 0: there is none.
    ElfW(Addr) value(ElfW(Sxword) tag) const {
        if (entries_)
            for (Entry* entry = entries_; entry->d_tag != DT_NULL; ++entry)
                if (entry->d_tag == tag) return entry->d_un.d_ptr;
        return 0;
    }

  private:
    Entry* entries_ = nullptr;
};

int add_module(dl_phdr_info* module, std::size_t, void* parts) {
    auto& [page_size, endings, marks, code] = *static_cast<Parts*>(parts);
    const auto address = [&](ElfW(Addr) offset) { return reinterpret_cast<char*>(module->dlpi_addr + offset); };
    const Dynamic dynamic(*module);
    if (const auto fini = dynamic.value(DT_FINI)) endings.push_back(address(fini));
    if (const auto array = dynamic.value(DT_FINI_ARRAY)) {
        const std::span destructors(reinterpret_cast<char**>(address(array)),
                                    dynamic.value(DT_FINI_ARRAYSZ) / sizeof(char*));
        endings.insert(endings.end(), destructors.begin(), destructors.end());
    }
    for (const auto& header : std::span(module->dlpi_phdr, module->dlpi_phnum)) {
        if (header.p_type != PT_LOAD) continue;
        // Of the variables that begin as zero it is the first.
        if ((header.p_flags & PF_W) && header.p_memsz > header.p_filesz)
            marks.push_back(address(header.p_vaddr + header.p_filesz));
        if ((header.p_flags & PF_X) && !(header.p_flags & PF_W)) {
            const auto begin = header.p_vaddr / page_size * page_size;
            const auto end = (header.p_vaddr + header.p_memsz + page_size - 1) / page_size * page_size;
            code.emplace_back(address(begin), end - begin);
        }
    }
    return 0;
}

bool can_be_written([[maybe_unused]] char* address, [[maybe_unused]] std::uintptr_t page_size) {
#ifdef MADV_POPULATE_WRITE
    const auto page = reinterpret_cast<std::uintptr_t>(address) / page_size * page_size;
    return ::madvise(reinterpret_cast<void*>(page), page_size, MADV_POPULATE_WRITE) == 0;
#else
    return false;
#endif
}

// For a checker it may be nobody's.
[[gnu::no_sanitize("address")]] [[gnu::no_sanitize("thread")]] void write_again(volatile char* byte) { *byte = *byte; }

// Whether a page of them has been written to: by a debugger that set a breakpoint, say.
bool is_changed(std::span<const char> pages, std::uintptr_t page_size, int page_map) {
    constexpr std::uint64_t present = std::uint64_t{1} << 63, swapped = std::uint64_t{1} << 62,
                            of_file = std::uint64_t{1} << 61;
    std::vector<std::uint64_t> entries(pages.size() / page_size);
    const auto bytes = std::as_writable_bytes(std::span(entries));
    const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(pages.data()) / page_size * sizeof entries[0]);
    if (os::retry([&] { return ::pread(page_map, bytes.data(), bytes.size(), at); }) !=
        static_cast<ssize_t>(bytes.size()))
        return true;
    return std::ranges::any_of(
        entries, [](std::uint64_t entry) { return (entry & swapped) || ((entry & present) && !(entry & of_file)); });
}

// The kernel copies the page tables of a mapping at a fork only where a page of it was written to: of others, as code
// is, each piece of 64 KiB is mapped anew by whoever runs it. So one byte is written, with its own value. What was run
// until now is then forgotten, the written page too: each process has to copy and to unmap what is there.
void let_forks_inherit(std::span<const std::span<char>> code, std::uintptr_t page_size) {
    const os::UniqueFd memory(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
    const os::UniqueFd page_map(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    if (!memory || !page_map) return;
    for (const auto pages : code) {
        if (is_changed(pages, page_size, page_map.get())) continue;
        char first = 0;
        const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(pages.data()));
        if (::pread(memory.get(), &first, 1, at) == 1 && ::pwrite(memory.get(), &first, 1, at) == 1)
            ::madvise(pages.data(), pages.size(), MADV_DONTNEED);
    }
}

// At a program's end libstdc++ destroys the error categories that it keeps for programs of before 2015, and the loader
// would look up the name of their destructor in each process. Here it is looked up for a copy of one, which holds its
// table of functions and nothing else; its destructor is the first of them (Itanium C++ ABI). Returned is where that
// is.
const volatile char* bind_end_of_categories() {
    using Function = void (*)(void*);
    using Object = const Function*;
    const auto generic = reinterpret_cast<const Object& (*)()>(::dlsym(RTLD_DEFAULT, "_ZSt16generic_categoryv"));
    if (!generic) return nullptr;  // another library, or one linked statically
    Object copy = generic();
    copy[0](&copy);
    return reinterpret_cast<const volatile char*>(generic()[0]);
}

// Likewise what a spare calls once, and its server never: refused by the kernel.
void bind_calls_of_spares() {
    static_cast<void>(os::Mapping::shared(-1, sizeof(ReportPage)));
    static_cast<void>(os::bind_lifeline(-1));
    ::shutdown(-1, SHUT_RD);
}

}  // namespace

Rehearsal::Rehearsal(Packet& packet) {
    Boot boot;
    boot.name = boot.parent_name = "rehearsal";
    boot.entry = detail::EntryId();
    boot.environment = own_environment();
    serial::Writer writer;
    encode_boot(writer, boot);
    boot_.assign(writer.bytes().begin(), writer.bytes().end());
    if (const auto module = os::module_at(reinterpret_cast<const void*>(&add_module))) build_id_ = module->build_id;

    Parts parts{page_size_, {}, {}, {}};
    ::dl_iterate_phdr(add_module, &parts);
    if (const auto* ending = bind_end_of_categories()) parts.endings.push_back(ending);
    for (auto* module = _r_debug.r_map; module; module = module->l_next)
        parts.marks.push_back(reinterpret_cast<char*>(module));
    // One of each piece of code that a fault maps, and of each page.
    const auto keep_one = [](auto& addresses, std::uintptr_t size) {
        const auto piece = [&](auto* address) { return reinterpret_cast<std::uintptr_t>(address) / size; };
        std::ranges::sort(addresses, {}, piece);
        addresses.erase(std::ranges::unique(addresses, {}, piece).begin(), addresses.end());
    };
    keep_one(parts.endings, 16 * page_size_);
    keep_one(parts.marks, page_size_);
    std::erase_if(parts.marks, [&](char* mark) { return !can_be_written(mark, page_size_); });
    endings_ = std::move(parts.endings);
    marks_ = std::move(parts.marks);

    bind_calls_of_spares();
    perform(packet);
    let_forks_inherit(parts.code, page_size_);
    perform(packet);
}

void Rehearsal::perform(Packet& packet) {
    // The server, on whose processor a new spare usually is, may be wanted by now: by the end of the last process.
    const auto give_way = [] { ::sched_yield(); };
    std::copy_n(boot_.begin(), std::min(boot_.size(), wire::max_inline_boot),
                packet.bytes.begin() + sizeof(wire::Spawn));
    serial::Reader reader(boot_);
    static_cast<void>(decode_boot(reader));
    static_cast<void>(os::module_with(build_id_));
    give_way();

    // Each of them is refused by the kernel, or changes nothing.
    static_cast<void>(::fcntl(-1, F_GETFD));
    static_cast<void>(::dup2(-1, -1));
    static_cast<void>(::fchdir(-1));
    ::umask(::umask(0));
    sigset_t none;
    ::sigemptyset(&none);
    static_cast<char** volatile&>(environ) = environ;
    give_way();

    // Not the last of its kind, so that nothing is flushed at its end.
    {
        const std::ios_base::Init counted;
    }
    narrow_.second.flush();
    wide_.second.flush();
    for (const volatile char* ending : endings_) static_cast<void>(*ending);
    give_way();
    for (char* mark : marks_) write_again(mark);
}

}  // namespace mp::process
