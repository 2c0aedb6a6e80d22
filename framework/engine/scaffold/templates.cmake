# Embeds the templates of `orrery new` in the program: templates.cpp holds each file of plugins/template as a string.
# Touches it only when a template changes, so that configuring alone compiles nothing.
set(template_folder ${PROJECT_SOURCE_DIR}/plugins/template)
file(GLOB template_files CONFIGURE_DEPENDS RELATIVE ${template_folder} ${template_folder}/*/*)
set(entries "")
foreach(file IN LISTS template_files)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${template_folder}/${file})
  file(READ ${template_folder}/${file} text)
  string(APPEND entries "      {\"${file}\", R\"template(${text})template\"},\n")
endforeach()
set(templates_source ${CMAKE_CURRENT_BINARY_DIR}/templates.cpp)
file(WRITE ${templates_source}.new
"// Generated from plugins/template.
#include \"engine/scaffold/new_plugin.h\"

namespace orrery::engine {

const std::map<std::string, std::string>& templates() {
  static const std::map<std::string, std::string> texts = {
${entries}  };
  return texts;
}

}  // namespace orrery::engine
")
file(COPY_FILE ${templates_source}.new ${templates_source} ONLY_IF_DIFFERENT)
target_sources(orrery_engine PRIVATE ${templates_source})
