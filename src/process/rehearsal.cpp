#include "process/rehearsal.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ext/stdio_sync_filebuf.h>
#include <ostream>
#include <span>
#include <vector>

#include "os/lifeline.hpp"
#include "os/mapping.hpp"
#include "os/modules.hpp"

namespace mp::process {

namespace {

// Of the program and each library: where its last steps are, at the ends of its code, and what these write, among its
// first variables.
struct Pages {
    std::vector<const volatile char*> code;
    std::vector<std::span<char>> variables;
};

int add_module(dl_phdr_info* module, std::size_t, void* pages) {
    auto& [code, variables] = *static_cast<Pages*>(pages);
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::span headers(module->dlpi_phdr, module->dlpi_phnum);
    const auto relocated = std::ranges::find(headers, PT_GNU_RELRO, &ElfW(Phdr)::p_type);
    for (const auto& header : headers) {
        if (header.p_type != PT_LOAD || header.p_memsz == 0) continue;
        char* begin = reinterpret_cast<char*>(module->dlpi_addr + header.p_vaddr);
        char* const end = begin + header.p_memsz;
        if ((header.p_flags & (PF_R | PF_X)) == (PF_R | PF_X)) {
            code.insert(code.end(), {begin, end - 1});
        } else if (header.p_flags & PF_W) {
            // What is written by the loader alone cannot be written now.
            if (relocated != headers.end())
                begin = std::max(begin,
                                 reinterpret_cast<char*>(module->dlpi_addr + relocated->p_vaddr + relocated->p_memsz));
            begin += -reinterpret_cast<std::uintptr_t>(begin) % page;
            constexpr std::size_t most = 16;
            if (begin < end) variables.emplace_back(begin, std::min<std::size_t>(end - begin, most * page));
        }
    }
    return 0;
}

// Looked up once, by the server: to look is to touch more.
const Pages& pages_of_modules() {
    static const Pages pages = [] {
        Pages found;
        ::dl_iterate_phdr(add_module, &found);
        // What one fault maps.
        const auto piece = [](const volatile char* address) { return reinterpret_cast<std::uintptr_t>(address) >> 16; };
        std::ranges::sort(found.code, {}, piece);
        const auto same = std::ranges::unique(found.code, {}, piece);
        found.code.erase(same.begin(), same.end());
        return found;
    }();
    return pages;
}

}  // namespace

void rehearse(Packet& packet) {
    // An order of the usual size.
    Boot boot;
    boot.name = boot.parent_name = "rehearsal";
    boot.entry = detail::EntryId();
    for (char** entry = environ; entry && *entry; ++entry) boot.environment.emplace_back(*entry);
    serial::Writer writer;
    encode_boot(writer, boot);
    const std::size_t size = std::min(writer.bytes().size(), wire::max_inline_boot);
    std::copy_n(writer.bytes().begin(), size, packet.bytes.begin() + sizeof(wire::Spawn));
    serial::Reader reader(writer.bytes());
    boot = decode_boot(reader);
    if (const auto module = os::module_at(reinterpret_cast<const void*>(&rehearse)))
        static_cast<void>(os::module_with(module->build_id));

    // Each of them is refused by the kernel, or changes nothing.
    static_cast<void>(os::Mapping::shared(-1, sizeof(ReportPage)));
    static_cast<void>(os::bind_lifeline(-1));
    static_cast<void>(::fcntl(-1, F_GETFD));
    static_cast<void>(::dup2(-1, -1));
    static_cast<void>(::fchdir(-1));
    ::umask(::umask(0));

    // A program's end flushes the standard streams. These are nobody's; the tie makes the library call its own flush.
    __gnu_cxx::stdio_sync_filebuf<char> narrow(stdout);
    std::ostream first(&narrow), second(&narrow);
    second.tie(&first);
    second.flush();
    __gnu_cxx::stdio_sync_filebuf<wchar_t> wide(stdout);
    std::wostream third(&wide), fourth(&wide);
    fourth.tie(&third);
    fourth.flush();

    // The one name that every process looks up itself, when libstdc++'s own objects are destroyed: where the loader
    // finds it.
    static_cast<void>(::dlsym(RTLD_DEFAULT, "_ZNSt14error_categoryD2Ev"));

    const Pages& pages = pages_of_modules();
    for (const volatile char* code : pages.code) static_cast<void>(*code);
#ifdef MADV_POPULATE_WRITE
    for (const auto variables : pages.variables) ::madvise(variables.data(), variables.size(), MADV_POPULATE_WRITE);
#endif
}

}  // namespace mp::process
