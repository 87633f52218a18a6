// A piece of shared memory: a nameless memory file and its one mapping in this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/expected.hpp"
#include "os/mapping.hpp"
#include "os/unique_fd.hpp"

namespace mp::shm {

/// Told by the thread that lets go of a segment last, whatever that holds: it is short and takes no lock.
class SegmentWatcher {
  public:
    virtual void segment_ended() noexcept = 0;

  protected:
    ~SegmentWatcher() = default;
};

class Segment {
  public:
    using Pointer = std::shared_ptr<const Segment>;

    /// A new one of `size` zero bytes, taken from the system page by page when touched: check_room() is the caller's
    /// business. `name` is what /proc shows.
    static base::Expected<Pointer> create(const char* name, std::uint64_t size);

    /// The one behind a descriptor received from elsewhere. Whoever has it mapped already gets the same mapping (found
    /// by device and inode), so that objects arriving twice are the same object. Error EBADMSG: not a memory file, or
    /// smaller than `least_size`.
    static base::Expected<Pointer> attach(os::UniqueFd file, std::uint64_t least_size);

    /// The one in which these bytes of this process lie; null when there is none.
    static Pointer find(const void* address, std::uint64_t size);

    std::byte* data() const { return mapping_.data(); }
    std::size_t size() const { return mapping_.size(); }
    int fd() const { return file_.get(); }

    /// Has `watcher` told, once and if it is still there, when this segment has no owner left in this process.
    void watch_end(std::weak_ptr<SegmentWatcher> watcher) const;

    ~Segment();
    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;

  private:
    struct Registry;
    Segment(os::UniqueFd file, os::Mapping mapping, std::uint64_t device, std::uint64_t inode)
        : file_(std::move(file)), mapping_(std::move(mapping)), device_(device), inode_(inode) {}
    static base::Expected<Pointer> adopt(os::UniqueFd file, std::uint64_t least_size);

    os::UniqueFd file_;
    os::Mapping mapping_;
    std::uint64_t device_, inode_;
    mutable std::vector<std::weak_ptr<SegmentWatcher>> watchers_;  // under the registry's lock
};

/// Whether `bytes` more can be taken without driving the system into its out-of-memory killer: compares with
/// os::available_memory() less a reserve. Error ENOMEM.
base::Expected<void> check_room(std::uint64_t bytes);

}  // namespace mp::shm
