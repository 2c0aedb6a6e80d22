# cmake -D NPM=... -D FROM=page/ -D TO=build/page -D SHA512=... -P fetch_plotly.cmake
# Writes TO/plotly.js in the version that the lock file in FROM pins. If that fails, the file is empty and
# TO/plotly.missing says why, because only reports need it.
function(give_up why)
  message("plotly.js ${why}: this build will not draw reports")
  file(WRITE ${TO}/plotly.missing "${why}")
  file(WRITE ${TO}/plotly.js "")
  return()
endfunction()

file(MAKE_DIRECTORY ${TO})
if(NOT NPM)
  give_up("as npm was not found when it was built")
  return()
endif()
foreach(file IN ITEMS package.json package-lock.json .npmrc)
  file(COPY_FILE ${FROM}/${file} ${TO}/${file})
endforeach()
# npm checks the package against the lock file's SHA-512.
execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --fetch-timeout=30000
  WORKING_DIRECTORY ${TO} RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(failed)
  file(WRITE ${TO}/npm.log "${said}")
  give_up("as npm could not fetch it when it was built (its words are in ${TO}/npm.log)")
  return()
endif()
set(fetched ${TO}/node_modules/plotly.js-cartesian-dist-min/plotly-cartesian.min.js)
file(SHA512 ${fetched} found)
if(NOT found STREQUAL SHA512)
  file(REMOVE_RECURSE ${TO}/node_modules)
  message(FATAL_ERROR "${fetched} is not the file that was pinned\n  expected SHA-512 ${SHA512}\n  found    ${found}")
endif()
file(WRITE ${TO}/plotly.missing "")
file(COPY_FILE ${fetched} ${TO}/plotly.js)
