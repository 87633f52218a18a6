#include "os/function_name.hpp"

#include <cxxabi.h>

#include <cctype>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string_view>

namespace mp::os {
namespace {

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
    for (const std::string_view prefix : prefixes)
        if (text.starts_with(prefix)) return true;
    return false;
}

/// Where `operator` begins that is the name itself (not part of a template argument or of an enclosing scope).
std::size_t find_operator(const std::string& text) {
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool at_start = i == 0 || text[i - 1] == ':' || text[i - 1] == ' ';
        if (depth == 0 && at_start && text.compare(i, 8, "operator") == 0 && i + 8 < text.size() &&
            !std::isalnum(static_cast<unsigned char>(text[i + 8])) && text[i + 8] != '_')
            return i;
        if (c == '<' || c == '(' || c == '{' || c == '[') ++depth;
        if (c == '>' || c == ')' || c == '}' || c == ']') --depth;
    }
    return std::string::npos;
}

/// Removes what stands before the last space that is outside of all brackets: the return type.
void drop_return_type(std::string& text, std::size_t end) {
    int depth = 0;
    for (std::size_t i = end; i-- > 0;) {
        const char c = text[i];
        if (c == '>' || c == ')' || c == '}' || c == ']') ++depth;
        if (c == '<' || c == '(' || c == '{' || c == '[') --depth;
        if (c == ' ' && depth == 0) {
            text.erase(0, i + 1);
            return;
        }
    }
}

/// Removes the parameter list that ends the name, and the qualifiers after it.
void drop_parameters(std::string& text, std::size_t name_from) {
    const std::size_t close = text.rfind(')');
    if (close == std::string::npos || close < name_from) return;
    // Only qualifiers may follow; otherwise the parenthesis belongs to a scope such as `(anonymous namespace)::f`.
    const std::string_view rest = std::string_view(text).substr(close + 1);
    if (!rest.empty() && rest.front() != ' ' && rest.front() != '[') return;
    int depth = 0;
    for (std::size_t i = close + 1; i-- > name_from;) {
        if (text[i] == ')') ++depth;
        if (text[i] == '(' && --depth == 0) {
            if (i > 0) text.erase(i);
            return;
        }
    }
}

}  // namespace

std::string type_name(const std::type_info& type) {
    if (type == typeid(std::string)) return "std::string";
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                      std::free);
    std::string name = status == 0 && text ? text.get() : type.name();
    for (std::size_t at; (at = name.find("::__cxx11::")) != std::string::npos;) name.erase(at, 9);
    return name;
}

std::string demangle(const char* symbol) {
    if (!symbol) return {};
    if (symbol[0] != '_' || symbol[1] != 'Z') return symbol;  // plain C functions are not mangled
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(symbol, nullptr, nullptr, &status), std::free);
    return status == 0 && text ? text.get() : symbol;
}

std::string without_signature(std::string text) {
    if (const std::size_t clone = text.find(" [clone "); clone != std::string::npos) text.erase(clone);
    if (const std::size_t op = find_operator(text); op != std::string::npos) {
        // `operator()` owns its first pair of parentheses.
        const std::size_t name_end = text.compare(op, 10, "operator()") == 0 ? op + 10 : op + 8;
        drop_parameters(text, name_end);
        drop_return_type(text, op);
        return text;
    }
    drop_parameters(text, 0);
    drop_return_type(text, text.size());
    return text;
}

bool is_internal_function(const std::string& name) {
    if (starts_with_any(name, {"mp::detail::", "mp::base::", "mp::os::", "mp::serial::", "mp::shm::", "mp::transport::",
                               "mp::process::", "mp::Process::", "mp::channel::", "mp::pool::", "std::__invoke", "std::invoke<",
                               "std::__apply_impl", "std::apply<"}))
        return true;
    for (const std::string_view own : {"__libc_start_main", "__libc_start_main_impl", "__libc_start_call_main", "_start",
                                       "start_thread", "clone", "clone3", "__clone", "__clone3", "__GI___clone",
                                       "__clone_internal", "__cxa_throw", "__libc_start_main_alias_2",
                                       "__libc_start_main@GLIBC_2.34"})
        if (name == own) return true;
    return false;
}

bool is_runtime_function(const std::string& name, const std::string& module) {
    if (starts_with_any(name, {"std::", "__gnu_cxx::", "__cxxabiv1::", "__interceptor_", "__asan", "__tsan"})) return true;
    const std::string_view file = std::string_view(module).substr(module.rfind('/') + 1);
    return starts_with_any(file, {"libc.so", "libc-", "libm.so", "libm-", "libstdc++", "libgcc_s", "libpthread", "ld-linux",
                                  "libasan", "libtsan", "libubsan", "libc++"});
}

}  // namespace mp::os
