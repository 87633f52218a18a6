// An ELF file mapped for reading.
#pragma once

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "os/unique_fd.hpp"

namespace mp::os {

/// A file mapped for reading. Every access is bounded: the file may be anything.
class ElfFile {
  public:
    explicit ElfFile(const std::string& path) {
        const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        struct stat status{};
        if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) return;
        const auto size = static_cast<std::size_t>(status.st_size);
        void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
        if (data != MAP_FAILED) bytes_ = {static_cast<const unsigned char*>(data), size};
    }
    ElfFile(const ElfFile&) = delete;
    ~ElfFile() {
        if (!bytes_.empty()) ::munmap(const_cast<unsigned char*>(bytes_.data()), bytes_.size());
    }

    template <class T>
    std::vector<T> table(std::uint64_t offset, std::uint64_t bytes) const {
        std::vector<T> items;
        if (offset > bytes_.size() || bytes > bytes_.size() - offset) return items;
        items.resize(bytes / sizeof(T));
        if (!items.empty()) std::memcpy(items.data(), bytes_.data() + offset, items.size() * sizeof(T));
        return items;
    }

    std::string text(std::uint64_t offset) const {
        if (offset >= bytes_.size()) return {};
        const auto* from = reinterpret_cast<const char*>(bytes_.data() + offset);
        return {from, ::strnlen(from, bytes_.size() - offset)};
    }

    std::vector<ElfW(Shdr)> sections() const {
        const auto header = table<ElfW(Ehdr)>(0, sizeof(ElfW(Ehdr)));
        if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0) return {};
        if (header[0].e_shentsize != sizeof(ElfW(Shdr))) return {};
        return table<ElfW(Shdr)>(header[0].e_shoff, std::uint64_t{header[0].e_shnum} * sizeof(ElfW(Shdr)));
    }

  private:
    std::span<const unsigned char> bytes_;
};

}  // namespace mp::os
