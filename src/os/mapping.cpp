#include "os/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include "os/retry.hpp"

namespace mp::os {

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

Mapping::~Mapping() {
    if (data_) ::munmap(data_, size_);
}

base::Expected<Mapping> Mapping::shared(int fd, std::size_t size, std::uint64_t offset) {
    void* data =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, static_cast<off_t>(offset));
    if (data == MAP_FAILED) return base::last_error();
    ::madvise(data, size, MADV_DONTDUMP);
    return Mapping(static_cast<std::byte*>(data), size);
}

base::Expected<UniqueFd> memory_file(const char* name, std::uint64_t size) {
    UniqueFd file = clear_of_streams(UniqueFd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)));
    if (!file) return base::last_error();
    if (retry([&] { return ::ftruncate(file.get(), static_cast<off_t>(size)); }) != 0) return base::last_error();
    return file;
}

void discard_pages(int fd, std::uint64_t offset, std::uint64_t size) {
    retry([&] {
        return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                           static_cast<off_t>(size));
    });
}

}  // namespace mp::os
