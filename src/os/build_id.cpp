#include "os/build_id.hpp"

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "os/retry.hpp"

namespace mp::os {
namespace {

constexpr std::size_t most_headers = 512;
constexpr std::size_t most_note_bytes = 64 * 1024;

std::size_t round_up(std::size_t size, std::size_t alignment) { return (size + alignment - 1) / alignment * alignment; }

bool read_at(int fd, void* into, std::size_t size, std::uint64_t offset) {
    return retry([&] { return ::pread(fd, into, size, static_cast<off_t>(offset)); }) == static_cast<ssize_t>(size);
}

}  // namespace

BuildId::BuildId(std::span<const std::byte> bytes) : size_(static_cast<std::uint8_t>(std::min(bytes.size(), max_size))) {
    std::copy_n(bytes.begin(), size_, bytes_.begin());
}

std::span<const std::byte> find_build_id(std::span<const std::byte> notes, std::size_t alignment) {
    alignment = alignment == 8 ? 8 : 4;  // 0 and 1 are seen too and mean 4
    while (notes.size() >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) header;
        std::memcpy(&header, notes.data(), sizeof header);
        const std::size_t name_at = sizeof header;
        const std::size_t text_at = round_up(name_at + header.n_namesz, alignment);
        const std::size_t end = text_at + header.n_descsz;
        if (header.n_namesz > notes.size() || header.n_descsz > notes.size() || end > notes.size()) break;
        if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == sizeof ELF_NOTE_GNU &&
            std::memcmp(notes.data() + name_at, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0)
            return notes.subspan(text_at, header.n_descsz);
        notes = notes.subspan(std::min(round_up(end, alignment), notes.size()));
    }
    return {};
}

BuildId build_id_of_image(const void* image) {
    if (image == nullptr || std::memcmp(image, ELFMAG, SELFMAG) != 0) return {};
    const auto& file = *static_cast<const ElfW(Ehdr)*>(image);
    const auto start = reinterpret_cast<std::uintptr_t>(image);
    const std::span headers(reinterpret_cast<const ElfW(Phdr)*>(start + file.e_phoff), file.e_phnum);
    // What the file's addresses are counted from: where its header lies, less the address it should have there.
    std::uintptr_t base = start;
    for (const auto& header : headers) {
        if (header.p_type != PT_LOAD || header.p_offset != 0) continue;
        base -= header.p_vaddr;
        break;
    }
    for (const auto& header : headers) {
        if (header.p_type != PT_NOTE) continue;
        const std::span notes(reinterpret_cast<const std::byte*>(base + header.p_vaddr), header.p_memsz);
        if (const auto found = find_build_id(notes, header.p_align); !found.empty()) return BuildId(found);
    }
    return {};
}

base::Expected<BuildId> build_id_of_file(int fd) {
    const auto not_elf = std::make_error_code(std::errc::executable_format_error);
    ElfW(Ehdr) file;
    if (!read_at(fd, &file, sizeof file, 0)) return not_elf;
    constexpr unsigned char word = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
    if (std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 || file.e_ident[EI_CLASS] != word) return not_elf;
    if (file.e_phentsize != sizeof(ElfW(Phdr)) || file.e_phnum > most_headers) return not_elf;

    std::vector<ElfW(Phdr)> headers(file.e_phnum);
    if (!read_at(fd, headers.data(), headers.size() * sizeof headers[0], file.e_phoff)) return not_elf;
    for (const auto& header : headers) {
        if (header.p_type != PT_NOTE || header.p_filesz > most_note_bytes) continue;
        std::vector<std::byte> notes(header.p_filesz);
        if (!read_at(fd, notes.data(), notes.size(), header.p_offset)) return not_elf;
        if (const auto found = find_build_id(notes, header.p_align); !found.empty()) return BuildId(found);
    }
    return BuildId();
}

}  // namespace mp::os
