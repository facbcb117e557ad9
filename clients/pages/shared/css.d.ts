/** A style sheet that a module imports goes into the page's own. */
declare module "*.css";
