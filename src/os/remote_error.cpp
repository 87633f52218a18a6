#include <multiprocessing/remote_error.hpp>

#include <ostream>

namespace mp {

RemoteError::RemoteError(Details details) : details_(std::make_shared<const Details>(std::move(details))) {}
RemoteError::~RemoteError() = default;

std::string RemoteError::to_string() const {
    std::string text = task().to_string();
    if (!text.empty()) text += ": ";
    text += type_name();
    if (pid() > 0) text += " in worker " + std::to_string(pid());
    // What is no std::exception has its type in its message already.
    const std::string prefix = type_name() + ": ";
    const std::string_view message_text = message();
    if (message_text == type_name()) return text;
    return text + ": " + std::string(message_text.starts_with(prefix) ? message_text.substr(prefix.size()) : message_text);
}

std::ostream& operator<<(std::ostream& out, const RemoteError& error) {
    out << error.to_string();
    if (std::string stack = error.stack().to_string(); !stack.empty()) {
        stack.pop_back();
        out << '\n' << stack;
    }
    if (!error.nested()) return out;
    try {
        std::rethrow_exception(error.nested());
    } catch (const RemoteError& below) {
        const std::string message = below.message() == below.type_name() ? "" : ": " + below.message();
        out << "\n  on top of " << below.type_name() << message;
        if (std::string stack = below.stack().to_string(); !stack.empty()) {
            stack.pop_back();
            out << '\n' << stack;
        }
        if (below.nested()) out << "\n  (and more below)";
    } catch (const std::exception& below) {
        out << "\n  on top of " << below.what();
    } catch (...) {
        out << "\n  on top of an exception of another type";
    }
    return out;
}

}  // namespace mp
