#include "os/symbolize.hpp"

namespace mp::os {

std::vector<StackFrame> symbolize(const RawStack& raw) {
    std::vector<StackFrame> frames;
    for (const RawFrame& from : raw.frames) {
        StackFrame frame;
        if (from.module < raw.modules.size()) frame.module = raw.modules[from.module].path;
        frame.offset = from.offset;
        frames.push_back(std::move(frame));
    }
    return frames;
}

}  // namespace mp::os
