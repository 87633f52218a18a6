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
#include <cstring>

#include "os/lifeline.hpp"
#include "os/mapping.hpp"
#include "os/modules.hpp"
#include "os/retry.hpp"
#include "os/unique_fd.hpp"

namespace mp::process {

namespace {

// Of the program and each library: the code that runs when it ends, and its variables.
struct Segments {
    std::vector<const volatile char*> endings;
    std::vector<std::span<char>> variables;
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

int add_module(dl_phdr_info* module, std::size_t, void* segments) {
    auto& [endings, variables] = *static_cast<Segments*>(segments);
    const auto address = [&](ElfW(Addr) offset) { return reinterpret_cast<char*>(module->dlpi_addr + offset); };
    const Dynamic dynamic(*module);
    if (const auto fini = dynamic.value(DT_FINI)) endings.push_back(address(fini));
    if (const auto array = dynamic.value(DT_FINI_ARRAY)) {
        const std::span destructors(reinterpret_cast<char**>(address(array)),
                                    dynamic.value(DT_FINI_ARRAYSZ) / sizeof(char*));
        endings.insert(endings.end(), destructors.begin(), destructors.end());
    }

    const std::span headers(module->dlpi_phdr, module->dlpi_phnum);
    const auto relocated = std::ranges::find(headers, PT_GNU_RELRO, &ElfW(Phdr)::p_type);
    for (const auto& header : headers) {
        if (header.p_type != PT_LOAD || !(header.p_flags & PF_W)) continue;
        char* begin = address(header.p_vaddr);
        char* const end = begin + header.p_memsz;
        // What is written by the loader alone cannot be written now.
        if (relocated != headers.end()) begin = std::max(begin, address(relocated->p_vaddr + relocated->p_memsz));
        if (begin < end) variables.emplace_back(begin, end);
    }
    return 0;
}

// The whole pages of them that were written: those that are neither the file's nor empty.
std::vector<std::span<char>> written_pages(std::span<const std::span<char>> ranges) {
    constexpr std::uint64_t present = std::uint64_t{1} << 63, of_file = std::uint64_t{1} << 61;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const os::UniqueFd map(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    std::vector<std::span<char>> written;
    for (const auto range : ranges) {
        const auto first = (reinterpret_cast<std::uintptr_t>(range.data()) + page - 1) / page;
        const auto last = (reinterpret_cast<std::uintptr_t>(range.data()) + range.size() + page - 1) / page;
        for (auto number = first; number < last; ++number) {
            std::uint64_t entry = 0;
            const auto at = static_cast<off_t>(number * sizeof entry);
            if (!map || os::retry([&] { return ::pread(map.get(), &entry, sizeof entry, at); }) != sizeof entry) break;
            if ((entry & (present | of_file)) != present) continue;
            auto* const begin = reinterpret_cast<char*>(number * page);
            if (!written.empty() && written.back().data() + written.back().size() == begin)
                written.back() = {written.back().data(), written.back().size() + page};
            else
                written.emplace_back(begin, page);
        }
    }
    return written;
}

// At a program's end libstdc++ destroys the error categories that it keeps for programs of before 2015, and the loader
// would look up the name of their destructor in each process. Here it is looked up for a copy of one, which holds its
// table of functions and nothing else; its destructor is the first of them (Itanium C++ ABI).
void bind_end_of_categories() {
    using Function = void (*)(void*);
    using Object = const Function*;
    const auto generic = reinterpret_cast<const Object& (*)()>(::dlsym(RTLD_DEFAULT, "_ZSt16generic_categoryv"));
    if (!generic) return;  // another library, or one linked statically
    Object copy = generic();
    copy[0](&copy);
}

// Likewise what a spare calls once, and its server never: refused by the kernel.
void bind_calls_of_spares() {
    static_cast<void>(os::Mapping::shared(-1, sizeof(ReportPage)));
    static_cast<void>(os::bind_lifeline(-1));
    ::shutdown(-1, SHUT_RD);
    sigset_t none;
    ::sigemptyset(&none);
}

}  // namespace

Rehearsal::Rehearsal(Packet& packet) {
    Boot boot;
    boot.name = boot.parent_name = "rehearsal";
    boot.entry = detail::EntryId();
    for (char** entry = environ; entry && *entry; ++entry) boot.environment.emplace_back(*entry);
    serial::Writer writer;
    encode_boot(writer, boot);
    boot_.assign(writer.bytes().begin(), writer.bytes().end());

    Segments segments;
    ::dl_iterate_phdr(add_module, &segments);
    // What one fault maps.
    const auto piece = [](const volatile char* address) { return reinterpret_cast<std::uintptr_t>(address) >> 16; };
    std::ranges::sort(segments.endings, {}, piece);
    const auto same = std::ranges::unique(segments.endings, {}, piece);
    endings_.assign(segments.endings.begin(), same.begin());
    if (const auto module = os::module_at(reinterpret_cast<const void*>(&add_module))) build_id_ = module->build_id;

    bind_end_of_categories();
    bind_calls_of_spares();
    perform(packet);
    variables_ = written_pages(segments.variables);
    perform(packet);
}

void Rehearsal::perform(Packet& packet) {
    // The server, on whose processor a new spare usually is, may be wanted by now: by the end of the last process.
    const auto give_way = [] { ::sched_yield(); };
    std::copy_n(boot_.begin(), std::min(boot_.size(), wire::max_inline_boot),
                packet.bytes.begin() + sizeof(wire::Spawn));
    give_way();
    serial::Reader reader(boot_);
    static_cast<void>(decode_boot(reader));
    give_way();
    static_cast<void>(os::module_with(build_id_));

    // Each of them is refused by the kernel, or changes nothing.
    static_cast<void>(::fcntl(-1, F_GETFD));
    static_cast<void>(::dup2(-1, -1));
    static_cast<void>(::fchdir(-1));
    ::umask(::umask(0));

    give_way();
    narrow_.second.flush();
    give_way();
    wide_.second.flush();
    for (const volatile char* ending : endings_) {
        give_way();
        static_cast<void>(*ending);
    }
#ifdef MADV_POPULATE_WRITE
    for (const auto pages : variables_) {
        give_way();
        ::madvise(pages.data(), pages.size(), MADV_POPULATE_WRITE);
    }
#endif
}

}  // namespace mp::process
