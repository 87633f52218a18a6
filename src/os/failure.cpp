#include <multiprocessing/outcome.hpp>

#include <ostream>
#include <sstream>

#include "os/function_name.hpp"

namespace mp {
namespace {

constexpr const char* no_result = "there is no result, and no reason is known";

}  // namespace

const char* Failure::what() const noexcept {
    if (!exception_) return no_result;
    if (const auto* remote_error = as<RemoteError>()) return remote_error->what();
    if (const auto* error = as<std::exception>()) return error->what();
    return "an exception that is no std::exception";
}

void Failure::rethrow() const {
    if (!exception_) throw PoolBroken(no_result);
    std::rethrow_exception(exception_);
}

std::string Failure::to_string() const {
    std::ostringstream out;
    if (const auto* remote_error = as<RemoteError>())
        out << *remote_error;
    else if (const auto* own = as<Error>())
        out << *own;
    else if (exception_ && as<std::exception>())
        out << os::type_name(*exception_.__cxa_exception_type()) << ": " << what();
    else if (exception_)
        out << "an exception of type " << os::type_name(*exception_.__cxa_exception_type());
    else
        out << what();
    return out.str();
}

std::ostream& operator<<(std::ostream& out, const Failure& failure) { return out << failure.to_string(); }

}  // namespace mp
