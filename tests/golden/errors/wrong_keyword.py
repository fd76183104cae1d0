from pybuild import image

base = image("alpine", platfrom="linux/arm64")  # E: image() got an unexpected keyword argument 'platfrom'
