/* The plugin boundary, in plain C. A plugin is a shared library with a stamp (orrery/plugin.h), which is read
 * from the file before it is loaded, and one symbol: `const orrery_plugin_info* orrery_plugin(void)`. */
#ifndef ORRERY_ABI_ABI_H
#define ORRERY_ABI_ABI_H

#include <stdint.h>

/* Decides whether a plugin fits. Raised whenever a plugin built before would break: when these declarations
 * or a public header that it may include change. The test Abi.* records the headers and says when. */
#define ORRERY_ABI 11

#define ORRERY_KIND_TASK 1
#define ORRERY_KIND_PROBE 2
#define ORRERY_KIND_LOSS 3
#define ORRERY_KIND_UPDATE 4
#define ORRERY_KIND_MODEL 5

#ifdef __cplusplus
extern "C" {
#endif

typedef struct orrery_parameter {
  const char* name;
  const char* type;          /* "integer", "real", "boolean", "text", "list of integers", ... */
  const char* default_value; /* JSON */
  const char* bounds; /* JSON: {"minimum": 0, "maximum": 1, "choices": ["add", "subtract"]}, each optional */
  const char* doc;
} orrery_parameter;

typedef struct orrery_plugin_info {
  uint32_t struct_size; /* sizeof(orrery_plugin_info) */
  uint32_t abi;         /* ORRERY_ABI */
  int32_t kind;         /* ORRERY_KIND_... */
  uint32_t n_parameters;
  const char* name;
  const char* version;
  const char* summary;
  const char* fault; /* the error in the plugin's declaration, or NULL */
  const orrery_parameter* parameters;
  /* An instance (orrery::Task*, Probe*, LossFunction*, Update* or ModelMaker*), from a JSON object of
   * parameter values; missing ones take their defaults. May throw. */
  void* (*create)(const char* parameters);
  void (*destroy)(void* instance);
} orrery_plugin_info;

#ifdef __cplusplus
}
#endif
#endif
