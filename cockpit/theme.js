/* Light or dark, as the shell of Cockpit is. It has no module for that which pages could load: each
 * page of Cockpit has these lines, with the names of class that its PatternFly knows. Not a module,
 * so that it runs before the page is drawn.
 */
"use strict";

(function () {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");

    function apply(chosen) {
        const style = chosen || localStorage.getItem("shell:style") || "auto";
        const isDark = style === "dark" || (style === "auto" && dark.matches);
        document.documentElement.classList.toggle("dark", isDark);
    }

    window.addEventListener("storage", event => {
        if (event.key === "shell:style")
            apply();
    });
    window.addEventListener("cockpit-style", event => apply(event.detail.style));
    dark.addEventListener("change", () => apply());
    apply();
})();
