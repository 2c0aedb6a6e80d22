/* A plugin written by hand against the C boundary alone, right in everything. Each file beside this one sets
 * one macro, and so has one fault. */
#include <orrery/abi/abi.h>
#include <orrery/abi/stamp.h>

#define EXPORT extern "C" __attribute__((visibility("default"), used))

#ifndef NAME
#define NAME "by_hand"
#endif
#ifndef KIND
#define KIND ORRERY_KIND_TASK
#endif
#ifndef STRUCT_SIZE
#define STRUCT_SIZE sizeof(orrery_plugin_info)
#endif
#ifndef DESCRIPTOR_ABI
#define DESCRIPTOR_ABI ORRERY_ABI
#endif
#ifndef FAULT
#define FAULT nullptr
#endif
#ifndef TYPE
#define TYPE "integer"
#endif
#ifndef DEFAULT
#define DEFAULT "7"
#endif
#ifndef DOC
#define DOC "a number"
#endif
#ifndef CREATE
#define CREATE create
#endif
#ifndef CREATE_BODY
#define CREATE_BODY return nullptr;
#endif
#ifndef DESTROY_BODY
#define DESTROY_BODY
#endif

#ifndef NO_STAMP
EXPORT const char orrery_stamp[] = ORRERY_STAMP;
#endif

namespace {
[[maybe_unused]] void* create(const char*) { CREATE_BODY }
void destroy(void*) { DESTROY_BODY }
const orrery_parameter parameters[] = {{"p", TYPE, DEFAULT, "{\"minimum\": 2}", DOC}};
const orrery_plugin_info info = {STRUCT_SIZE,     DESCRIPTOR_ABI, KIND,       1,      NAME,   "1.0.0",
                                 "Made by hand.", FAULT,          parameters, CREATE, destroy};
}  // namespace

#ifndef NO_SYMBOL
EXPORT const orrery_plugin_info* orrery_plugin() { return &info; }
#else
EXPORT const orrery_plugin_info* another_name() { return &info; }
#endif
