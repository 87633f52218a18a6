#include <multiprocessing/detail/engine.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <multiprocessing/errors.hpp>

#include "base/expected.hpp"
#include "os/unique_fd.hpp"

namespace mp::detail {

/// Rung once, and never taken: whoever looks finds it readable.
class Bell final : public Completion {
  public:
    Bell() : file_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (!file_) throw SystemError(base::last_error(), "cannot make a descriptor to wait for a future");
    }
    int fd() const { return file_.get(); }
    void completed() noexcept override {
        const std::uint64_t one = 1;
        static_cast<void>(!::write(file_.get(), &one, sizeof one));
    }

  private:
    os::UniqueFd file_;
};

PreparedCallable::~PreparedCallable() = default;
Pending::~Pending() = default;
Engine::~Engine() = default;

int Pending::bell() {
    std::call_once(bell_made_, [&] {
        auto bell = std::make_shared<Bell>();
        if (!notify(bell, true)) bell->completed();
        bell_ = std::move(bell);
    });
    return bell_->fd();
}

}  // namespace mp::detail
