#include <multiprocessing/shared_memory.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include <multiprocessing/errors.hpp>

#include "channel/raise.hpp"
#include "os/retry.hpp"
#include "shm/segment.hpp"

namespace mp {

namespace {

std::string path_of(const std::string& name, const char* operation) {
    if (name.empty() || name.size() > 250 || name.find('\0') != std::string::npos ||
        name.find('/') != std::string::npos) {
        channel::raise(base::error_of(EINVAL), std::string("cannot ") + operation + " shared memory named \"" +
                                                   name.substr(0, name.find('\0')) + '"');
    }
    return '/' + name;
}

}  // namespace

/// The name's owner in the process that created it; a fork is not that process.
struct SharedMemory::Owner {
    explicit Owner(std::string name) : path(std::move(name)), process(::getpid()) {}
    ~Owner() {
        if (!path.empty() && process == ::getpid()) ::shm_unlink(path.c_str());
    }
    std::string path;
    pid_t process;
};

SharedMemory::SharedMemory(int fd, std::size_t size, std::string name, bool owner) : name_(std::move(name)) {
    os::UniqueFd file(fd);
    if (owner) owner_ = std::make_shared<Owner>('/' + name_);
    auto segment = shm::Segment::attach(std::move(file), size);
    if (!segment) channel::raise(segment.error(), "cannot map shared memory");
    data_ = (*segment)->data();
    size_ = (*segment)->size();
    fd_ = (*segment)->fd();
    segment_ = std::move(*segment);
}

SharedMemory::SharedMemory(std::size_t size) {
    const auto operation = [&] { return "cannot allocate " + channel::human_size(size) + " of shared memory"; };
    if (size == 0) channel::raise(base::error_of(EINVAL), operation());
    if (const auto room = shm::check_room(size); !room) channel::raise(room.error(), operation());
    auto segment = shm::Segment::create("SharedMemory", size);
    if (!segment) channel::raise(segment.error(), operation());
    data_ = (*segment)->data();
    size_ = (*segment)->size();
    fd_ = (*segment)->fd();
    segment_ = std::move(*segment);
}

SharedMemory SharedMemory::create(const std::string& name, std::size_t size) {
    const std::string path = path_of(name, "create");
    const auto operation = [&] {
        return "cannot create " + channel::human_size(size) + " of shared memory named \"" + name + '"';
    };
    if (size == 0) channel::raise(base::error_of(EINVAL), operation());
    if (const auto room = shm::check_room(size); !room) channel::raise(room.error(), operation());
    os::UniqueFd file(::shm_open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) channel::raise(base::last_error(), operation());
    if (os::retry([&] { return ::ftruncate(file.get(), static_cast<off_t>(size)); }) != 0) {
        const auto reason = base::last_error();
        ::shm_unlink(path.c_str());
        channel::raise(reason, operation());
    }
    return SharedMemory(file.release(), size, name, true);
}

SharedMemory SharedMemory::open(const std::string& name) {
    const std::string path = path_of(name, "open");
    os::UniqueFd file(::shm_open(path.c_str(), O_RDWR | O_CLOEXEC, 0));
    if (!file) channel::raise(base::last_error(), "cannot open shared memory named \"" + name + '"');
    return SharedMemory(file.release(), 1, name, false);
}

void SharedMemory::unlink() {
    const std::string path = path_of(name_, "unlink");
    if (::shm_unlink(path.c_str()) != 0) {
        channel::raise(base::last_error(), "cannot unlink shared memory named \"" + name_ + '"');
    }
    if (owner_) owner_->path.clear();
}

SharedMemory::SharedMemory(const serial::Handle& handle, std::string name) : name_(std::move(name)) {
    auto segment = shm::Segment::attach(os::UniqueFd::duplicate(handle.fd()), 1);
    if (!segment) throw SerializationError("cannot take over shared memory: " + segment.error().message());
    data_ = (*segment)->data();
    size_ = (*segment)->size();
    fd_ = (*segment)->fd();
    segment_ = std::move(*segment);
}

serial::Handle SharedMemory::internal_handle() const { return serial::Handle::duplicate(fd_); }

}  // namespace mp
