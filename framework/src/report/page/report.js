"use strict";
document.getElementById("page").append(masthead(pageData.title, pageData.facts || ""));
