#include "os/build_id.hpp"

#include <elf.h>
#include <link.h>

#include <cstring>

namespace mp::os {

BuildId build_id_of_image(const void* image) {
    const auto* start = static_cast<const unsigned char*>(image);
    const auto* header = static_cast<const ElfW(Ehdr)*>(image);
    if (!image || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return {};
    const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(start + header->e_phoff);
    // The load address is that of the header, less the virtual address of the segment that maps it.
    ElfW(Addr) bias = reinterpret_cast<ElfW(Addr)>(image);
    for (int i = 0; i < header->e_phnum; ++i) {
        if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0) {
            bias -= segments[i].p_vaddr;
            break;
        }
    }
    for (int i = 0; i < header->e_phnum; ++i) {
        if (segments[i].p_type != PT_NOTE) continue;
        const auto* notes = reinterpret_cast<const unsigned char*>(bias + segments[i].p_vaddr);
        std::size_t left = segments[i].p_memsz;
        while (left >= sizeof(ElfW(Nhdr))) {
            const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(notes);
            const std::size_t name = (note->n_namesz + 3u) & ~3u;
            const std::size_t desc = (note->n_descsz + 3u) & ~3u;
            const std::size_t size = sizeof *note + name + desc;
            if (size > left) break;
            const unsigned char* name_at = notes + sizeof *note;
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && std::memcmp(name_at, "GNU", 4) == 0)
                return {name_at + name, note->n_descsz};
            notes += size;
            left -= size;
        }
    }
    return {};
}

}  // namespace mp::os
