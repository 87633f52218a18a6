#include <multiprocessing/detail/engine.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>

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
Engine::~Engine() = default;
InputMemory::~InputMemory() = default;

std::unique_ptr<InputMemory> Engine::input_memory(std::uint64_t) { return std::make_unique<InputMemory>(); }

Pending::~Pending() { delete bell_.load(std::memory_order_relaxed); }

int Pending::bell() {
    auto* bell = bell_.load(std::memory_order_acquire);
    if (!bell) {
        auto made = std::make_unique<std::shared_ptr<Bell>>(std::make_shared<Bell>());
        if (bell_.compare_exchange_strong(bell, made.get(), std::memory_order_acq_rel)) {
            bell = made.release();
            if (!notify(*bell, true)) (*bell)->completed();
        }
    }
    return (*bell)->fd();
}

}  // namespace mp::detail
