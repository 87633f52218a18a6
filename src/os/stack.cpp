#include <multiprocessing/stack.hpp>

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>
#include <unwind.h>

#include <cstdio>
#include <mutex>
#include <ostream>
#include <vector>

#include "os/build_id.hpp"
#include "os/function_name.hpp"
#include "os/raw_stack.hpp"
#include "os/symbolize.hpp"

namespace mp {

namespace detail {

struct StackData {
    explicit StackData(os::RawStack stack) : raw(std::move(stack)) {}

    const os::RawStack raw;
    std::mutex mutex;                // guards the two below
    bool symbolized = false;
    std::vector<StackFrame> frames;  // does not change once symbolized
};

struct StackAccess {
    static Stack make(os::RawStack raw) {
        Stack stack;
        if (!raw.frames.empty()) stack.data_ = std::make_shared<StackData>(std::move(raw));
        return stack;
    }
    static const StackData* data(const Stack& stack) { return stack.data_.get(); }
};

}  // namespace detail

namespace {

constexpr std::size_t captured_frames = 64;

struct Capture {
    std::uintptr_t addresses[captured_frames];
    std::size_t count = 0;
    std::size_t skip = 0;
};

_Unwind_Reason_Code visit(_Unwind_Context* context, void* argument) {
    auto& capture = *static_cast<Capture*>(argument);
    const auto address = _Unwind_GetIP(context);
    if (address == 0) return _URC_END_OF_STACK;
    if (capture.skip > 0) {
        --capture.skip;
        return _URC_NO_REASON;
    }
    capture.addresses[capture.count++] = address;
    return capture.count == captured_frames ? _URC_END_OF_STACK : _URC_NO_REASON;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string hex(std::uint64_t number) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(number));
    return text;
}

/// `program+0x1f30`, `0x1f30` where no module is.
std::string place_of(const StackFrame& frame) {
    if (frame.module.empty()) return hex(frame.offset);
    return std::string(base_name(frame.module)) + '+' + hex(frame.offset);
}

}  // namespace

std::string StackFrame::to_string() const {
    const std::string name = function.empty() ? "??" : function;
    if (file.empty()) return name + " (" + place_of(*this) + ')';
    std::string text = name + " (" + std::string(base_name(file));
    if (line > 0) text += ':' + std::to_string(line);
    return text + ')';
}

[[gnu::noinline]] Stack Stack::capture(std::size_t skip) {
    Capture capture;
    capture.skip = skip + 1;  // this function
    _Unwind_Backtrace(visit, &capture);
    return os::make_stack(os::locate(capture.addresses, capture.count));
}

std::span<const StackFrame> Stack::frames() const {
    if (!data_) return {};
    const std::lock_guard guard(data_->mutex);
    if (!data_->symbolized) {
        data_->frames = os::symbolize(data_->raw);
        data_->symbolized = true;
    }
    return data_->frames;
}

const StackFrame* Stack::top() const {
    const StackFrame* first = nullptr;
    for (const StackFrame& frame : frames()) {
        if (frame.internal) continue;
        if (!first && !(frame.function.empty() && frame.module.empty())) first = &frame;
        if (!frame.function.empty() && !os::is_runtime_function(frame.function, frame.module)) return &frame;
    }
    return first;
}

std::string Stack::to_string() const {
    std::string text;
    int number = 0;
    for (const StackFrame& frame : frames()) {
        if (frame.internal) continue;
        char prefix[32];
        std::snprintf(prefix, sizeof prefix, "    #%-2d ", number++);
        text += prefix;
        text += frame.function.empty() ? "??" : frame.function;
        if (frame.file.empty())
            text += " (" + place_of(frame) + ')';
        else
            text += " at " + frame.file + (frame.line > 0 ? ':' + std::to_string(frame.line) : std::string());
        text += '\n';
    }
    return text;
}

std::ostream& operator<<(std::ostream& out, const Stack& stack) { return out << stack.to_string(); }

}  // namespace mp

namespace mp::os {

RawStack locate(const std::uintptr_t* addresses, std::size_t count) {
    RawStack raw;
    std::vector<const void*> images;  // parallel to raw.modules
    for (std::size_t i = 0; i < count; ++i) {
        RawFrame frame{.module = ~0u, .return_address = true, .offset = addresses[i]};
        dl_find_object found;
        if (::_dl_find_object(reinterpret_cast<void*>(addresses[i] - 1), &found) == 0) {
            std::size_t module = 0;
            while (module < images.size() && images[module] != found.dlfo_map_start) ++module;
            if (module == images.size()) {
                RawModule next{.path = found.dlfo_link_map->l_name, .build_id = {}};
                if (next.path.empty()) {
                    char path[4096];
                    const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
                    if (length > 0) next.path.assign(path, static_cast<std::size_t>(length));
                }
                const BuildId id = build_id_of_image(found.dlfo_map_start);
                for (const std::byte byte : id.bytes()) next.build_id.push_back(std::to_integer<unsigned char>(byte));
                raw.modules.push_back(std::move(next));
                images.push_back(found.dlfo_map_start);
            }
            frame.module = static_cast<std::uint32_t>(module);
            frame.offset = addresses[i] - found.dlfo_link_map->l_addr;
        }
        raw.frames.push_back(frame);
    }
    return raw;
}

Stack make_stack(RawStack raw) { return detail::StackAccess::make(std::move(raw)); }

RawStack raw_of(const Stack& stack) {
    const detail::StackData* data = detail::StackAccess::data(stack);
    return data ? data->raw : RawStack();
}

}  // namespace mp::os
