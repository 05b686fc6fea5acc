from .animation import animate as animate
from .jupyter.explorer import explore as explore
from .page.export import export_html as export_html
