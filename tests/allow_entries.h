// Entries of network.allow and whether they are good, for the tests of each part that takes them:
// what one refuses, no other may accept.
#pragma once
#include <string_view>
#include <utility>

namespace hearth_test {

inline constexpr std::pair<std::string_view, bool> kAllowEntries[] = {
    {"api.example.com:443", true},
    {"API.Example.com.", true},
    {"localhost:80", true},
    {"*.example.org", true},
    {"*.example.org:8443", true},
    {"a_b.c:65535", true},
    {"1and1.com", true},
    {"10.1.0.0/16:5432", true},
    {"10.1.0.0/16", true},
    {"0.0.0.0/0", true},
    {"192.0.2.1:1", true},
    {"[fd00::/8]:443", true},
    {"[::/0]", true},
    {"[::1]", true},
    {"", false},
    {":443", false},
    {"a b", false},
    {"a.com:0", false},
    {"a.com:65536", false},
    {"a.com:", false},
    {"a.com:44x", false},
    {"a.com:080", false},
    {"*", false},
    {"*.", false},
    {"*.com", false},
    {"*.*.org", false},
    {"a.*.org", false},
    {"-a.com", false},
    {"a-.com", false},
    {"a..com", false},
    {".com", false},
    {"a.123", false},
    {"1.2.3.4.5", false},
    {"300.1.1.1", false},
    {"10.1.0.0/33", false},
    {"10.1.0.0/016", false},
    {"10.1.0.0/", false},
    {"10.1/16", false},
    {"10.1.2.3/16", false},
    {"[fd00::/129]:1", false},
    {"[fd00::1/8]", false},
    {"[192.0.2.1]:80", false},
    {"[fd00::", false},
    {"[fd00::]x", false},
    {"[fd00::]:", false},
    {"[]:80", false},
    {"fd00::1", false},
    {"fd00::/8", false},
    {"http://a.com", false},
    {"a.com/path", false},
    {"exa\u0301mple.com", false},
};

}  // namespace hearth_test
